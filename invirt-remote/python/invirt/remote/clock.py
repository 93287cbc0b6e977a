"""The clock by which operations wait; a simulation of time can take its place."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What there is of the module time."""

    def monotonic(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float, /) -> None:
        """Do nothing for so long, or a little longer."""


current: Clock = time
