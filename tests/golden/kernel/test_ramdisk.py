"""What is in the guests' ramdisk, against a file: a listing, and the texts of its scripts."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from invirt.kernel.ramdisk import RAMDISKS
from tests.golden.compare import compare

EXPECTED = Path(__file__).parent / "expected"
BUSYBOX = b"\x7fELF busybox"
BUILT_IN = ("virtio", "virtio_ring")


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


@pytest.mark.parametrize("name", RAMDISKS)
def test_ramdisk(name: str) -> None:
    ramdisk = RAMDISKS[name]
    modules = {module: module.encode() for module in ramdisk.modules if module not in BUILT_IN}
    shown = []
    for path, mode, device, content in members(ramdisk.archive(BUSYBOX, modules)):
        more = f" {device[0]},{device[1]}" if stat.S_ISCHR(mode) else ""
        more += f" -> {content.decode()}" if stat.S_ISLNK(mode) else ""
        shown.append(f"{stat.filemode(mode)} {path}{more}\n")
        if path in ramdisk.scripts:
            shown += [f"    {line}\n" for line in content.decode().splitlines()]
    compare("".join(shown), EXPECTED / name)
