"""The kernel itself, out of the file that Debian has in /boot.

Entered by PVH it needs no firmware: QEMU and Xen boot it in a fraction of a second.
"""

from __future__ import annotations

import lzma
import re
import struct
import tempfile
from pathlib import Path

from invirt.base.errors import InvirtError
from invirt.base.process import run

_UNPACKERS = {  # how the kernel within begins: what unpacks it, and how that is told where to
    b"\x02\x21\x4c\x18": ("lz4",),
    b"\x28\xb5\x2f\xfd": ("zstd", "-o"),
}
_XZ = b"\xfd7zXZ"
_ENTRY = re.compile(rb"\x04\0\0\0[\x04\x08]\0\0\0\x12\0\0\0Xen\0")  # the note XEN_ELFNOTE_PHYS32_ENTRY


def uncompressed(image: bytes) -> bytes:
    """The ELF kernel within a bzImage; see Documentation/arch/x86/boot.rst for the header's offsets.

    Raises InvirtError if there is none that can be entered by PVH.
    """
    if image[0x202:0x206] != b"HdrS":
        raise InvirtError("the kernel is no bzImage", hint="It may be damaged: install its package again.")
    start = (image[0x1F1] + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    kernel = _unpacked(image[start + offset : start + offset + length])
    if not kernel.startswith(b"\x7fELF") or not _ENTRY.search(kernel):
        raise InvirtError(
            "in the kernel's file is no kernel that can be booted as a guest (ELF with an entry for PVH)",
            hint="Install one of Debian's: linux-image-amd64 or linux-image-cloud-amd64.",
        )
    return kernel


def _unpacked(payload: bytes) -> bytes:
    if payload.startswith(_XZ):
        return lzma.LZMADecompressor().decompress(payload)
    for begin, (program, *to) in _UNPACKERS.items():
        if payload.startswith(begin):
            return _by_program(payload[:-4], program, to)  # the last four bytes are its size
    return payload


def _by_program(data: bytes, program: str, to: list[str]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        packed, kernel = Path(folder, "packed"), Path(folder, "kernel")
        packed.write_bytes(data)
        run([program, "-dqf", str(packed), *to, str(kernel)], timeout=120)
        return kernel.read_bytes()
