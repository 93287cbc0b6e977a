"""Kernels of a few bytes, installed as Debian's packages have them."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path

from invirt.kernel.ramdisks import RAMDISKS

NOTE = b"\x04\0\0\0\x04\0\0\0\x12\0\0\0Xen\0"


def installed(root: Path, *versions: str) -> Path:
    """A folder with kernels, their modules, and busybox, as Debian's packages have them."""
    for version in versions:
        modules = root / "usr/lib/modules" / version
        drivers = modules / "kernel/drivers"
        drivers.mkdir(parents=True)
        for name in {name for one in RAMDISKS.values() for name in one.modules[2:]}:
            (drivers / f"{name.replace('_', '-')}.ko.xz").write_bytes(lzma.compress(name.encode()))
        (modules / "modules.builtin").write_text("kernel/a/virtio.ko\nkernel/a/virtio-ring.ko\n")
        (root / "boot").mkdir(exist_ok=True)
        (root / f"boot/vmlinuz-{version}").write_bytes(bzimage(b"\x7fELF" + NOTE + version.encode()))
    (root / "usr/bin").mkdir(exist_ok=True)
    for name in {"busybox", *(name for one in RAMDISKS.values() for name in one.programs)}:
        (root / "usr/bin" / name).write_bytes(name.encode())
    return root


def bzimage(payload: bytes) -> bytes:
    """One whose real mode part has one sector, with this kernel in it, not compressed."""
    image = bytearray(2 * 512)
    image[0x1F1], image[0x202:0x206] = 1, b"HdrS"
    image[0x248:0x24C], image[0x24C:0x250] = bytes(4), len(payload).to_bytes(4, "little")
    return bytes(image) + payload


def members(archive: bytes) -> Iterator[tuple[str, int, tuple[int, int], bytes]]:
    """Name, mode, device and contents of each; see cpio(5), "New ASCII Format"."""
    at = 0
    while archive[at : at + 6] == b"070701":
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, device, length = fields[1], fields[6], (fields[9], fields[10]), fields[11]
        name = archive[at + 110 : at + 109 + length].decode()
        begin = (at + 110 + length + 3) // 4 * 4
        yield name, mode, device, archive[begin : begin + size]
        at = (begin + size + 3) // 4 * 4
    assert at == len(archive)
