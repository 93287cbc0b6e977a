"""A machine's screen in a browser: RFB, which noVNC speaks there and QEMU on the host.

JSON says how it stands until the machine is joined, and RFB goes both ways from then on.  RFB begins
anew with each connection: so one is for one run of the guest, and the page comes again.

A screen is drawn when the browser asks for it, and only as fast as it takes it: the host is read
no faster, so that here little is kept, and QEMU drops what has changed again meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType

from invirt.web import displays
from invirt.web.streams.line import Flow, Refused
from invirt.web.streams.machine import RETRY, Session
from invirt.web.streams.words import heard

EACH, A_USER = 8, 8  # screens of one machine, of one user
CHUNK = 1 << 16  # bytes of a message
LAGGING = 30.0  # seconds in which a browser must have taken a message, and the host what is typed


@dataclass
class Screen(Session):
    """One browser on one machine's screen."""

    flow: Flow | None = None

    @classmethod
    def admit(cls, name: str, machine: Any) -> None:
        """What boots like a PC has one."""
        displays.check(name, machine.type, machine.virt)

    async def listen(self) -> None:
        """Keys and pointer, and what is to be drawn."""
        async for message in self.socket:
            if message.type is WSMsgType.BINARY and self.flow:
                await self._in_time(self.flow.write(message.data))

    async def show(self, word: asyncio.Event) -> None:
        """One run of the guest, as fast as the browser takes it."""
        flow = await self._flow(word)
        try:
            self.flow = flow
            while data := await flow.read(CHUNK):
                await self._in_time(self.socket.send_bytes(data))
        finally:
            flow.close()

    async def _flow(self, word: asyncio.Event) -> Flow:
        """Wherever the machine is; a machine that is off or boots is waited for."""
        while True:
            with suppress(Refused):
                return await self.join(word, self._joined)
            await heard(word, RETRY)

    async def _joined(self, host: str) -> Flow:
        return await self.seats.hosts.join(host, f"{self.name} {self.number} screen", Flow)

    async def _in_time(self, taken: Awaitable[None]) -> None:
        """Who takes nothing for so long is cut off: what waits for them would be kept for ever."""
        try:
            async with asyncio.timeout(LAGGING):
                await taken
        except TimeoutError:
            if self.request.transport:
                self.request.transport.abort()
            raise ConnectionError("too slow") from None
