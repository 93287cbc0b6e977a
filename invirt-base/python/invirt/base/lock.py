"""Locks of open files, which end with the process that holds them, however it ends."""

from __future__ import annotations

import fcntl
import time
from typing import IO

PAUSE = 0.02  # seconds between two tries


def take(file: IO[str] | int, patience: float) -> bool:
    """Lock an open file for this process alone; False when it isn't free within patience seconds."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(PAUSE)
