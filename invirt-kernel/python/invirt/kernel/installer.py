"""The ramdisk of the installer, which puts Debian on the disk of the guest that it is: see install/main."""

from __future__ import annotations

from pathlib import Path

from invirt.kernel.ramdisk import ASKED, POWER_OFF, UDHCPC, VIRTIO, XEN, Ramdisk, started

_PARTS = Path(__file__).parent / "install"
FILE_SYSTEM = ("crc16", "crc32c_generic", "mbcache", "jbd2", "ext4")  # built into the kernel for clouds
_MODULES = (*VIRTIO, *XEN, *FILE_SYSTEM, "qemu_fw_cfg")
_RC = """\
acpid -f -l /dev/null -p /tmp/acpid &
sh /install/main
poweroff -f
"""

INSTALLER = Ramdisk(
    folders=(
        *("bin", "dev", "etc", "etc/acpi", "etc/acpi/PWRF", "install", "lib", "lib64", "modules"),
        *("proc", "sbin", "sys", "target", "tmp", "usr", "usr/bin"),
    ),
    scripts={
        "init": "#!/bin/busybox sh\nexec /bin/busybox init\n",
        "etc/inittab": "::sysinit:/bin/sh /etc/rc\n",
        "etc/rc": started(_MODULES) + _RC,
        "etc/acpi/PWRF/00000080": POWER_OFF,
        "etc/udhcpc": UDHCPC,
        **ASKED,
        **{f"install/{part.name}": part.read_text() for part in sorted(_PARTS.iterdir())},
    },
    modules=_MODULES,
    programs=("gpgv", "mke2fs", "sfdisk", "tar", "zstd"),
)
