"""Guests as domains of Xen, driven by xl."""
