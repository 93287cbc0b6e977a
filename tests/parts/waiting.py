"""How tests of parts wait."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.parts.realm import DEADLINE


def until(true: Callable[[], object], why: Callable[[], str] = str, seconds: float = DEADLINE) -> None:
    """Wait until true() is; fails with why() after that many seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, why()
        time.sleep(0.02)
