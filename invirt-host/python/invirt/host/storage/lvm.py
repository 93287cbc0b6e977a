"""Disks as logical volumes of one volume group, which is Invirt's own.

Its free space reads as zeros: what ends is zeroed before LVM gets it back, and an administrator
makes the group of disks that are empty.  So a new volume shows nobody what another owner wrote, and
what a copy leaves out is zero.

Several hosts may see a group that LVM's lock manager guards (vgcreate --shared): a volume is locked for
the one host on which its machine runs, or that does something to it, and for two only while a guest moves.
Domains' own locks are those of their units, see files/usr/libexec/invirt/volumes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from subprocess import CompletedProcess

from invirt.base.abilities import Can
from invirt.base.errors import Busy, CommandFailed, InvirtError, NoRoom, NotFound, Unreachable
from invirt.base.process import run
from invirt.host.storage.volumes import Storage

LONG = 24 * 3600  # seconds that zeroing a large disk may take
REPORT = ("lvs", "--noheadings", "--units", "b", "--nosuffix", "--options")
NO_GROUP = re.compile(r'Volume group "[^"]*" not found')
NO_SPACE = re.compile(r"insufficient free space", re.IGNORECASE)
NO_VOLUME = re.compile(r"Failed to find logical volume")
LOCKED = re.compile(r"LV locked by other host|LV is already locked with incompatible mode")
NO_LOCKS = re.compile(r"lockspace is|lock manager|lvmlockd|lock-start|lock start", re.IGNORECASE)
SILENT = re.compile(r"no end within")


class Lvm(Storage):
    """Volumes /dev/GROUP/d_NAME_DISK.

    LVM itself keeps from being removed what somebody has open, but it renames that, and grows it: a
    rename is refused here.
    """

    can = frozenset({Can.GROW})
    pool = ""  # the thin pool in the group whose volumes these are; "": those of none

    def __init__(self, group: str, run: Callable[..., CompletedProcess[str]] = run) -> None:
        self.group = group
        self.run = run

    @cached_property
    def shared(self) -> bool:
        """Whether a lock manager guards the group, so that several hosts may see it."""
        kind = self._lvm("vgs", "--noheadings", "--options", "vg_lock_type", self.group).strip()
        return kind in ("dlm", "sanlock")

    def unshared(self, driver: str) -> str:
        if not self.shared:
            return "what one host writes into a plain volume group, another overwrites without a word"
        return "" if driver == "xen" else f"guests of {driver} don't lock their volumes"

    def path_of(self, key: str) -> str:
        return f"/dev/{self.group}/{key}"

    def sizes(self) -> dict[str, int]:
        own = ("--select", f'pool_lv="{self.pool}"')
        lines = self._lvm(*REPORT, "lv_name,lv_size", *own, self.group).splitlines()
        found = {name: int(size) >> 30 for name, size in map(str.split, lines)}
        found.pop("lvmlock", None)
        return found

    def size(self, key: str) -> int | None:
        return self.sizes().get(key)

    def make(self, key: str, gib: int) -> None:
        options = ("--yes", "--wipesignatures", "y", "--zero", "y")
        self._lvm("lvcreate", *options, "--size", f"{gib}g", "--name", key, self.group)
        self.release(key)

    def settle(self, key: str) -> None:
        """One whose make() was killed may be active in a group of several hosts, or inactive in another."""
        if self.shared:
            self.release(key)
        else:
            self.hold(key)

    def hold(self, key: str) -> None:
        self._lvm("lvchange", "--activate", "ey", f"{self.group}/{key}")

    def release(self, key: str) -> None:
        """In a group of this host's own the device stays."""
        if self.shared:
            self._lvm("lvchange", "--activate", "n", f"{self.group}/{key}")

    def grow(self, key: str, gib: int) -> None:
        self._lvm("lvextend", "--size", f"{gib}g", f"{self.group}/{key}")

    def move(self, old: str, new: str) -> None:
        self._require_closed(old)
        self._lvm("lvrename", self.group, old, new)

    def wipe(self, key: str) -> None:
        self._require_closed(key)
        self.hold(key)
        self.run(["blkdiscard", "--zeroout", self.path_of(key)], timeout=LONG)
        self._lvm("lvremove", "--yes", f"{self.group}/{key}")

    def untouched(self, key: str) -> bool:
        """LVM can't tell; names of machines are not given again before their disks are in the trash."""
        return True

    def _require_closed(self, key: str) -> None:
        """Raises Busy if anybody here has the volume open; of what is inactive LVM says "unknown"."""
        if self._lvm(*REPORT, "lv_device_open", f"{self.group}/{key}").strip() == "open":
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
        group, said = f"the volume group {self.group}", error.hint
        if NO_GROUP.search(said):
            hint = "Its disks may be away: vgs and pvs tell what is there. See invirt-admin pool list."
            return CommandFailed(f"this host has no volume group {self.group}", hint)
        if NO_SPACE.search(said):
            return NoRoom(f"{group} is full", f"{said}\nvgs tells what is free.")
        if LOCKED.search(said):
            return Busy(f"another host has a lock on it in {group}: its machine runs there, or moves", said)
        if NO_LOCKS.search(said):
            return Unreachable(f"{group} is one of several hosts, and its lock manager isn't there", said)
        if SILENT.search(error.message):
            return Unreachable(f"LVM gives no answer for {group}", error.message)
        return NotFound(f"{group} has no such volume", said) if NO_VOLUME.search(said) else error
