"""Kernels of a few bytes, installed as Debian's packages have them."""

from __future__ import annotations

import lzma
from pathlib import Path

from invirt.kernel.ramdisk import GUEST

NOTE = b"\x04\0\0\0\x04\0\0\0\x12\0\0\0Xen\0"


def installed(root: Path, *versions: str) -> Path:
    """A folder with kernels, their modules, and busybox, as Debian's packages have them."""
    for version in versions:
        modules = root / "usr/lib/modules" / version
        drivers = modules / "kernel/drivers"
        drivers.mkdir(parents=True)
        for name in GUEST.modules[2:]:
            (drivers / f"{name.replace('_', '-')}.ko.xz").write_bytes(lzma.compress(name.encode()))
        (modules / "modules.builtin").write_text("kernel/a/virtio.ko\nkernel/a/virtio-ring.ko\n")
        (root / "boot").mkdir(exist_ok=True)
        (root / f"boot/vmlinuz-{version}").write_bytes(bzimage(b"\x7fELF" + NOTE + version.encode()))
    (root / "usr/bin").mkdir(exist_ok=True)
    (root / "usr/bin/busybox").write_bytes(b"busybox")
    return root


def bzimage(payload: bytes) -> bytes:
    """One whose real mode part has one sector, with this kernel in it, not compressed."""
    image = bytearray(2 * 512)
    image[0x1F1], image[0x202:0x206] = 1, b"HdrS"
    image[0x248:0x24C], image[0x24C:0x250] = bytes(4), len(payload).to_bytes(4, "little")
    return bytes(image) + payload
