"""Waiting for what no event tells of, always with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait(what: Callable[[], bool], seconds: float) -> bool:
    """Whether what() came true within so many seconds.

    It is asked again when a twentieth more of the time has gone, within half and 50 ms: who waits
    learns of it that little later, however long it took.
    """
    began = time.monotonic()
    while (gone := time.monotonic() - began) < seconds:
        if what():
            return True
        time.sleep(min(0.05, max(0.0005, gone / 20)))
    return what()
