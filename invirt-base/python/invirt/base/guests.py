"""What package invirt-kernel makes for guests, and where it puts it."""

from __future__ import annotations

ARCHITECTURE = "amd64"  # of kernels and ramdisks, and so of all that machines run
FOLDER = "/var/lib/invirt/kernel"
KERNEL = f"{FOLDER}/vmlinuz"
INITRD = f"{FOLDER}/initrd"
INSTALLER = f"{FOLDER}/installer"
RESCUE = f"{FOLDER}/rescue"
APPEND = "console=ttyS0 quiet no_timer_check"  # the last: emulated timers are late
