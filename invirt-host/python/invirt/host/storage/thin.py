"""Disks as thin volumes: each takes up what was written to it, and a copy what its data takes.

The pool zeroes a block before a volume gets it: a new volume reads as zeros, and what ends needs no zeroing.
No more is given out than the pool has: a guest's write always finds room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import CompletedProcess

from invirt.base import lock
from invirt.base.errors import BadConfig, Busy, NoRoom
from invirt.base.process import run
from invirt.host import paths
from invirt.host.storage.lvm import REPORT, Lvm

IN_LINE = 60.0  # seconds to wait for another process that makes a volume here


class Thin(Lvm):
    """Volumes /dev/GROUP/d_NAME_DISK of the thin pool GROUP/POOL."""

    def __init__(self, place: str, run: Callable[..., CompletedProcess[str]] = run) -> None:
        group, _, self.pool = place.partition("/")
        super().__init__(group, run)

    def unshared(self, driver: str) -> str:
        return "LVM has a thin pool active on one host at a time"

    def make(self, key: str, gib: int) -> None:
        with self._room(gib):
            place = f"{self.group}/{self.pool}"
            self._lvm("lvcreate", "--yes", "--virtualsize", f"{gib}g", "--name", key, "--thinpool", place)

    def grow(self, key: str, gib: int) -> None:
        with self._room(gib - (self.size(key) or 0)):
            super().grow(key, gib)

    def wipe(self, key: str) -> None:
        self._require_closed(key)
        self._lvm("lvremove", "--yes", f"{self.group}/{key}")

    @contextmanager
    def _room(self, gib: int) -> Iterator[None]:
        """While gib more GiB are made a volume's nobody else makes one; raises NoRoom, BadConfig."""
        paths.make(paths.run())
        with (paths.run() / f"thin.{self.group}.{self.pool}").open("w") as file:
            if not lock.take(file, IN_LINE):
                raise Busy(f"another command is making disks in {self.group}/{self.pool}", "Try again.")
            size, *zeroes = self._lvm(*REPORT, "lv_size,zero", f"{self.group}/{self.pool}").split()
            if not zeroes:
                raise BadConfig(
                    f"the thin pool {self.group}/{self.pool} doesn't zero what it gives out",
                    hint=f"lvchange --zero y {self.group}/{self.pool}, before anybody's data lies there.",
                )
            if sum(self.sizes().values()) + gib > int(size) >> 30:
                hint = f"No more than it has is given out: lvextend --size +{gib}g {self.group}/{self.pool}"
                raise NoRoom(f"the thin pool {self.group}/{self.pool} has no {gib} GiB left", hint)
            yield
