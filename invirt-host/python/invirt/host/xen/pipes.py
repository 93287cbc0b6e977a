"""Pipes between xl and us."""

from __future__ import annotations

import fcntl
import select
from contextlib import suppress
from io import BufferedReader, FileIO, RawIOBase
from typing import Any

from invirt.host.protocols import PIECE

WIDE = 1 << 20  # bytes of a pipe: xl writes four MiB at once, and who reads has a turn each time it is full


class Patient(RawIOBase):
    """What a descriptor gives, until it is closed; TimeoutError when that is nothing for so many seconds."""

    def __init__(self, descriptor: int, seconds: float) -> None:
        self.file, self.seconds = FileIO(descriptor), seconds

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """See RawIOBase."""
        if not select.select([self.file], [], [], self.seconds)[0]:
            raise TimeoutError("nothing comes")
        return self.file.readinto(buffer)

    def close(self) -> None:
        """See RawIOBase."""
        self.file.close()
        super().close()


def reading(descriptor: int, patience: float) -> BufferedReader:
    """See Patient."""
    return BufferedReader(Patient(descriptor, patience), PIECE)


def widen(descriptor: int) -> None:
    """Let more of a pipe's bytes wait than Linux does by itself; root may."""
    with suppress(PermissionError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, WIDE)
