"""Waiting for what no event tells of, always with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait(what: Callable[[], bool], seconds: float) -> bool:
    """Whether what() came true within so many seconds."""
    deadline = time.monotonic() + seconds
    pause = 0.002
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(pause)
        pause = min(0.05, 1.5 * pause)
    return what()
