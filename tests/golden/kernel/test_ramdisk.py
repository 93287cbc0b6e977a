"""What is in each ramdisk, against a file: a listing, and the texts of its scripts."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from invirt.kernel.ramdisks import RAMDISKS
from tests.golden.compare import compare
from tests.unit.kernel.kernels import members

EXPECTED = Path(__file__).parent / "expected"
BUSYBOX = b"\x7fELF busybox"
BUILT_IN = ("virtio", "virtio_ring")


@pytest.mark.parametrize("name", RAMDISKS)
def test_ramdisk(name: str) -> None:
    ramdisk = RAMDISKS[name]
    modules = {module: module.encode() for module in ramdisk.modules if module not in BUILT_IN}
    programs = {f"usr/bin/{program}": program.encode() for program in ramdisk.programs}
    shown = []
    for path, mode, device, content in members(ramdisk.archive(BUSYBOX, modules, programs)):
        more = f" {device[0]},{device[1]}" if stat.S_ISCHR(mode) else ""
        more += f" -> {content.decode()}" if stat.S_ISLNK(mode) else ""
        shown.append(f"{stat.filemode(mode)} {path}{more}\n")
        if path in ramdisk.scripts and not path.startswith("install/"):  # files of their own
            shown += [f"    {line}\n" for line in content.decode().splitlines()]
    compare("".join(shown), EXPECTED / name)
