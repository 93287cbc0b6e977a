"""Guests as processes of QEMU, kept by systemd and driven by QMP."""
