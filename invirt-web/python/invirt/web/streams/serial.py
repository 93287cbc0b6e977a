"""A machine's serial console in a browser.

Down go the console's bytes, and JSON that says how it stands; up goes what is typed, as bytes,
and in JSON how many bytes the browser has shown.  Beyond so many that it has not shown, it gets no
more; the line to the host is read all the same.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiohttp import WSMsgType

from invirt.web.streams.line import Line, Refused
from invirt.web.streams.machine import RETRY, Session
from invirt.web.streams.words import heard

WINDOW = 1 << 18  # bytes that a browser has yet to show
CHUNK = 1 << 15  # bytes of a message


@dataclass
class Serial(Session):
    """One browser on one machine's console.  mode: what the host is asked for."""

    mode: ClassVar[str] = "attach"
    line: Line | None = None
    unshown: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def admit(cls, name: str, machine: Any) -> None:
        """Every machine has one."""

    async def listen(self) -> None:
        """What is typed, and how much is shown."""
        async for message in self.socket:
            if message.type is WSMsgType.BINARY:
                await self.type(message.data)
            elif message.type is WSMsgType.TEXT:
                with suppress(ValueError, KeyError, TypeError):
                    self.unshown = max(0, self.unshown - int(json.loads(message.data)["shown"]))
                    self.news.set()

    async def type(self, data: bytes) -> None:
        """Hand it on."""
        if self.line and not self.line.send(data):
            await self.tell("busy", "the machine takes no more of what is typed; the rest is lost")

    async def show(self, word: asyncio.Event) -> None:
        """Wherever the machine is; a machine that is off or moves is waited for."""
        while True:
            with suppress(Refused):
                self.line = await self.join(word, self._line)
                try:
                    await self._carry(self.line)
                finally:
                    self.line.close()
                if self.line.left:
                    await self.tell("left", "you have left the console")
                    return
            await heard(word, RETRY)

    async def _line(self, host: str) -> Line:
        return await self.seats.hosts.join(host, f"{self.name} {self.number} {self.mode}", Line)

    async def _carry(self, line: Line) -> None:
        """What the line says, as fast as the browser shows it, until its end."""
        line.news = self.news
        while line.tail or not line.ended:
            if line.tail and self.unshown < WINDOW:
                data = line.tail.take(CHUNK)
                self.unshown += len(data)
                await self.socket.send_bytes(data)
            else:
                await self.news.wait()
                self.news.clear()
