"""Who waits for word of a change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Words:
    """Those who wait, by what they wait for; "" is a word for all."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def say(self, about: str) -> None:
        """Wake who waits for it."""
        for each in [about] if about else list(self._waiting):
            for event in self._waiting.get(each, ()):
                event.set()

    @contextmanager
    def of(self, about: str) -> Iterator[asyncio.Event]:
        """An event that is set at each word of it."""
        event = asyncio.Event()
        self._waiting.setdefault(about, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[about].discard(event)
            if not self._waiting[about]:
                del self._waiting[about]


async def heard(event: asyncio.Event, seconds: float) -> None:
    """Until word comes, or the time is over; what comes later counts anew."""
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    event.clear()
