"""Disks of machines: what is the same for every driver.

A volume is called d_NAME_DISK.  One that was removed is kept in the trash as
trash.OPERATION.TIME.d_NAME_DISK, where OPERATION removed it at TIME (seconds
since 1970), until restore() or purge(), which calls it purge.…: that can't be
undone, and wipe_ended() wipes it in its own time.  When something has lain in
the trash for long enough the remote server knows, and not the host.  Every call
is safe to repeat: done already is done.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from invirt.base import log
from invirt.base.abilities import Can
from invirt.base.errors import BadInput, Busy, NotFound
from invirt.base.names import PREFIX, MachineName, domain_of

NAME = re.compile(
    rf"(?:trash\.(?P<operation>\d+)\.(?P<time>\d+)\.)?{PREFIX}(?P<name>[a-z0-9-]+)_(?P<disk>[a-z0-9]+)"
)

ENDED = re.compile(rf"purge\.\d+\.\d+\.{PREFIX}[a-z0-9-]+_[a-z0-9]+")


@dataclass(frozen=True)
class Volume:
    """One volume of this storage; size in GiB, operation and time if it is in the trash."""

    name: MachineName
    disk: str
    size: int
    operation: int | None = None
    time: int = 0

    @property
    def key(self) -> str:
        """What the driver calls it."""
        prefix = f"trash.{self.operation}.{self.time}." if self.operation is not None else ""
        return prefix + _key(self.name, self.disk)


class Storage(ABC):
    """The drivers say how volumes are made, grown, moved and wiped; this says when.

    can: what not every storage can, and this one does.
    """

    can: ClassVar[frozenset[Can]]

    @abstractmethod
    def path_of(self, key: str) -> str:
        """The file or device of a volume."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Every volume, also those in the trash, and its size in GiB."""

    @abstractmethod
    def size(self, key: str) -> int | None:
        """The size of one volume in GiB, None if there is none."""

    @abstractmethod
    def make(self, key: str, gib: int) -> None:
        """Make a volume that reads as zeros."""

    @abstractmethod
    def settle(self, key: str) -> None:
        """Bring a volume to its end whose make() may have been killed."""

    @abstractmethod
    def grow(self, key: str, gib: int) -> None:
        """Make a volume larger."""

    @abstractmethod
    def move(self, old: str, new: str) -> None:
        """Rename a volume; new is free.  Busy where a guest would lose what it has open."""

    @abstractmethod
    def hold(self, key: str) -> None:
        """From now on no other host may open the volume; Busy if one has it."""

    @abstractmethod
    def release(self, key: str) -> None:
        """Others may have it."""

    @abstractmethod
    def wipe(self, key: str) -> None:
        """End a volume, so that nobody gets to read what it held.  Busy if somebody has it open."""

    @abstractmethod
    def untouched(self, key: str) -> bool:
        """Whether nothing was written to the volume, as far as the driver can tell."""

    def unshared(self, driver: str) -> str:
        """Why no two hosts of that hypervisor may see this one, if they may not."""
        return ""

    def path(self, name: MachineName, disk: str) -> str:
        """The file or device that a hypervisor opens."""
        return self.path_of(_key(name, disk))

    @contextmanager
    def held(self, name: MachineName, disk: str) -> Iterator[str]:
        """The path of a disk whose machine is off; Busy where another host has it."""
        key = _key(name, disk)
        self.hold(key)
        try:
            yield self.path_of(key)
        finally:
            self.release(key)

    def create(self, name: MachineName, disk: str, gib: int) -> None:
        """Make a disk; one of that size is left alone.  BadInput if it has another size or holds data."""
        key = _key(name, disk)
        size = self.size(key)
        if size is None:
            self.make(key, gib)
        elif size != gib:
            raise BadInput(f"disk {disk} of {name} is there already, with {size} GiB instead of {gib}")
        elif not self.untouched(key):
            raise BadInput(f"disk {disk} of {name} is there already, and holds data")
        else:
            self.settle(key)

    def resize(self, name: MachineName, disk: str, gib: int) -> None:
        """Grow a disk to gib.  BadInput if it is larger already."""
        key = _key(name, disk)
        size = self.size(key)
        if size is None:
            raise _missing(name, disk)
        if size > gib:
            raise BadInput(f"disk {disk} of {name} has {size} GiB and can't shrink to {gib}")
        if size < gib:
            self.grow(key, gib)

    def rename(self, name: MachineName, disk: str, new_name: MachineName, new_disk: str) -> None:
        """Give a disk to another machine or call it otherwise.  BadInput if the new one exists too."""
        if (name, disk) == (new_name, new_disk):
            return
        old, new = _key(name, disk), _key(new_name, new_disk)
        there = self.size(new) is not None
        if self.size(old) is None:
            if not there:
                raise _missing(name, disk)
        elif there:
            raise BadInput(f"disk {new_disk} of {new_name} is there already")
        else:
            self.move(old, new)

    def remove(self, name: MachineName, disk: str, operation: int) -> None:
        """Put a disk into the trash, marked with the operation's number."""
        size = self.size(_key(name, disk))
        if size is not None:
            trashed = Volume(name, disk, size, operation, int(time.time()))
            self.move(_key(name, disk), trashed.key)

    def restore(
        self,
        name: MachineName,
        disk: str,
        operation: int,
        new_name: MachineName | None = None,
        new_disk: str | None = None,
    ) -> None:
        """Take back what the operation removed, for another machine if one is named.

        NotFound if it is neither there nor in the trash.
        """
        found = self._trashed(name, disk, operation)
        name, disk = new_name or name, new_disk or disk
        there = self.size(_key(name, disk)) is not None
        if found and there:
            raise BadInput(f"disk {disk} of {name} can't be taken back: another took its place")
        if found:
            self.move(found.key, _key(name, disk))
        elif not there:
            raise _missing(name, disk)

    def give_up(
        self, name: MachineName, disk: str, operation: int, new_name: MachineName, new_disk: str
    ) -> None:
        """Undo restore() for another machine: what is in the trash still stays there."""
        size = self.size(_key(new_name, new_disk))
        if size is not None and not self._trashed(name, disk, operation):
            trashed = Volume(name, disk, size, operation, int(time.time()))
            self.move(_key(new_name, new_disk), trashed.key)

    def purge(self, name: MachineName, disk: str, operation: int) -> None:
        """End what the operation removed, for good."""
        if found := self._trashed(name, disk, operation):
            self.move(found.key, found.key.replace("trash.", "purge.", 1))

    def volumes(self) -> list[Volume]:
        """All volumes of machines, and what is in the trash; files of others are not shown."""
        found = []
        for key, size in sorted(self.sizes().items()):
            match = NAME.fullmatch(key)
            if match:
                operation = match["operation"]
                removed = int(operation) if operation else None
                found.append(
                    Volume(MachineName(match["name"]), match["disk"], size, removed, int(match["time"] or 0))
                )
        return found

    def trash(self) -> list[Volume]:
        """What was removed and can be taken back."""
        return [one for one in self.volumes() if one.operation is not None]

    def _trashed(self, name: MachineName, disk: str, operation: int) -> Volume | None:
        """The disk that the operation removed, if it is in the trash."""
        found = (
            one for one in self.trash() if (one.name, one.disk, one.operation) == (name, disk, operation)
        )
        return next(found, None)

    def wipe_ended(self) -> list[str]:
        """Wipe what purge() has ended, which may take long; returns what it was called.

        What somebody has open waits for the next time, and holds up nothing else.
        """
        wiped = []
        for key in sorted(key for key in self.sizes() if ENDED.fullmatch(key)):
            try:
                self.wipe(key)
                wiped.append(key)
            except Busy as error:
                log.write(f"{error.message}: it stays for now", log.WARNING)
        return wiped


def _key(name: MachineName, disk: str) -> str:
    """What a volume is called that is not in the trash."""
    return f"{domain_of(name)}_{disk}"


def _missing(name: MachineName, disk: str) -> NotFound:
    return NotFound(f"{name} has no disk {disk} in this storage")
