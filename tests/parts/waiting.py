"""How tests of parts wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.parts.realm import DEADLINE

Found = TypeVar("Found")


def until(true: Callable[[], Found], why: Callable[[], str] = str, seconds: float = DEADLINE) -> Found:
    """Wait until true() is, and return that; fails with why() after that many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, why()
        time.sleep(0.02)
    return found
