"""Disks as logical volumes of one volume group, which is Invirt's own.

Its free space reads as zeros: what ends is zeroed before LVM gets it back, and an administrator
makes the group of disks that are empty.  So a new volume shows nobody what another owner wrote, and
what a copy leaves out is zero.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from subprocess import CompletedProcess

from invirt.base.abilities import Can
from invirt.base.errors import Busy, CommandFailed, InvirtError, NoRoom
from invirt.base.process import run
from invirt.host.storage.volumes import Storage

LONG = 24 * 3600  # seconds that zeroing a large disk may take
REPORT = ("lvs", "--noheadings", "--units", "b", "--nosuffix", "--options")
NO_GROUP = re.compile(r'Volume group "[^"]*" not found')
NO_SPACE = re.compile(r"insufficient free space", re.IGNORECASE)


class Lvm(Storage):
    """Volumes /dev/GROUP/d_NAME_DISK.

    LVM itself keeps from being removed what somebody has open, but it renames that, and grows it: a
    rename is refused here.
    """

    can = frozenset({Can.GROW})
    unshared = "what one host writes into a plain volume group, another overwrites without a word"

    def __init__(self, group: str, run: Callable[..., CompletedProcess[str]] = run) -> None:
        self.group = group
        self.run = run

    def path_of(self, key: str) -> str:
        return f"/dev/{self.group}/{key}"

    def sizes(self) -> dict[str, int]:
        lines = self._lvm(*REPORT, "lv_name,lv_size", self.group).splitlines()
        return {name: int(size) >> 30 for name, size in map(str.split, lines)}

    def size(self, key: str) -> int | None:
        return self.sizes().get(key)

    def make(self, key: str, gib: int) -> None:
        options = ("--yes", "--wipesignatures", "y", "--zero", "y")
        self._lvm("lvcreate", *options, "--size", f"{gib}g", "--name", key, self.group)

    def settle(self, key: str) -> None:
        """One whose make() was killed may not be active."""
        self._lvm("lvchange", "--activate", "y", f"{self.group}/{key}")

    def grow(self, key: str, gib: int) -> None:
        self._lvm("lvextend", "--size", f"{gib}g", f"{self.group}/{key}")

    def move(self, old: str, new: str) -> None:
        self._require_closed(old)
        self._lvm("lvrename", self.group, old, new)

    def wipe(self, key: str) -> None:
        self._require_closed(key)
        self._lvm("lvchange", "--activate", "y", f"{self.group}/{key}")
        self.run(["blkdiscard", "--zeroout", self.path_of(key)], timeout=LONG)
        self._lvm("lvremove", "--yes", f"{self.group}/{key}")

    def untouched(self, key: str) -> bool:
        """LVM can't tell; names of machines are not given again before their disks are in the trash."""
        return True

    def _require_closed(self, key: str) -> None:
        """Raises Busy if a guest, or anybody else, has the volume open."""
        if self._lvm(*REPORT, "lv_device_open", f"{self.group}/{key}").strip():
            raise Busy(
                f"the volume {key} is in use on this host",
                hint=f"Shut the machine down. Else `fuser -v {self.path_of(key)}` tells who has it.",
            )

    def _lvm(self, *argv: str) -> str:
        """What a command of LVM's prints; its reasons in our words."""
        try:
            return self.run(argv).stdout
        except CommandFailed as error:
            raise self._told(error) from error

    def _told(self, error: CommandFailed) -> InvirtError:
        if NO_GROUP.search(error.hint):
            hint = "Its disks may be away: vgs and pvs tell what is there. See invirt-admin pool list."
            return CommandFailed(f"this host has no volume group {self.group}", hint)
        if NO_SPACE.search(error.hint):
            return NoRoom(f"the volume group {self.group} is full", f"{error.hint}\nvgs tells what is free.")
        return error
