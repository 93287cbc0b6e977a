"""Disks as logical volumes of one volume group, which is Invirt's own."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

from invirt.base.abilities import Can
from invirt.base.process import run
from invirt.host.storage.volumes import Storage

LONG = 24 * 3600  # seconds that zeroing a large disk may take


class Lvm(Storage):
    """Volumes /dev/GROUP/d_NAME_DISK.

    Space is zeroed when a volume ends, so that a new one can't show what
    another owner wrote.
    """

    can = frozenset({Can.GROW})

    def __init__(self, group: str, run: Callable[..., CompletedProcess[str]] = run) -> None:
        self.group = group
        self.run = run

    def path_of(self, key: str) -> str:
        return f"/dev/{self.group}/{key}"

    def sizes(self) -> dict[str, int]:
        report = ["lvs", "--noheadings", "--units", "b", "--nosuffix", "--options", "lv_name,lv_size"]
        lines = self.run([*report, self.group]).stdout.splitlines()
        return {name: int(size) >> 30 for name, size in map(str.split, lines)}

    def size(self, key: str) -> int | None:
        return self.sizes().get(key)

    def make(self, key: str, gib: int) -> None:
        options = ["--yes", "--wipesignatures", "y", "--zero", "y"]
        self.run(["lvcreate", *options, "--size", f"{gib}g", "--name", key, self.group])

    def grow(self, key: str, gib: int) -> None:
        self.run(["lvextend", "--size", f"{gib}g", f"{self.group}/{key}"])

    def move(self, old: str, new: str) -> None:
        self.run(["lvrename", self.group, old, new])

    def wipe(self, key: str) -> None:
        self.run(["blkdiscard", "--zeroout", f"/dev/{self.group}/{key}"], timeout=LONG)
        self.run(["lvremove", "--yes", f"{self.group}/{key}"])

    def untouched(self, key: str) -> bool:
        """LVM can't tell; names of machines are not given again before their disks are in the trash."""
        return True
