"""A connection to a console or screen on its host: invirt-host-consoles says what is spoken on it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from invirt.base import certificates
from invirt.web.streams.tail import Tail

PATIENCE = 5.0  # seconds until a host has let us in
TYPED = 1 << 18  # bytes that the host has yet to take
FLOWING = 1 << 18  # bytes of a screen that are kept before the host is read no further
ANSWER = 400  # bytes of the host's answer
ALIVE = ((socket.SO_KEEPALIVE, 1, socket.SOL_SOCKET), (socket.TCP_KEEPIDLE, 20, socket.IPPROTO_TCP))


class Refused(Exception):
    """No console or screen now; the text is for the user."""


class Line(asyncio.Protocol):
    """Always drained: what the browser has yet to take is a tail.

    left: its user has left it (^Ec.).  ended: nothing more comes.  news: set when there is something to see.
    """

    def __init__(self) -> None:
        self.tail = Tail()
        self.left = self.ended = False
        self.news = asyncio.Event()
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._begun = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """A line that is the host's answer, and then the console's own bytes."""
        if not self.answer.done():
            line, end, data = (self._begun + data).partition(b"\n")
            self._begun = line
            if not end and len(line) < ANSWER:
                return
            self.answer.set_result("".join(c for c in line.decode("ascii", "replace") if c.isprintable()))
        if data:
            self.keep(data)
            self.news.set()

    def keep(self, data: bytes) -> None:
        """Until it is taken."""
        self.tail.put(data)

    def eof_received(self) -> None:
        """An end: TLS says whether it was meant; where it was cut, there could be more to read."""
        assert self._transport
        with suppress(ssl.SSLError):
            self.left = self._transport.get_extra_info("ssl_object").read(1) == b""

    def connection_lost(self, error: Exception | None) -> None:
        """Whatever else ends it."""
        self.ended = True
        if not self.answer.done():
            self.answer.set_result("no answer")
        self.news.set()

    def send(self, data: bytes) -> bool:
        """What is typed; False where the host has too much of it to take yet."""
        assert self._transport
        if self._transport.get_write_buffer_size() > TYPED:
            return False
        self._transport.write(data)
        return True

    def close(self) -> None:
        """Leave it."""
        if self._transport:
            self._transport.abort()


class Flow(Line):
    """Comes whole: the host is read no faster than it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = bytearray()
        self._free = asyncio.Event()
        self._free.set()

    def keep(self, data: bytes) -> None:
        """Whole; beyond so much no more is read."""
        assert self._transport
        self._kept += data
        if len(self._kept) > FLOWING:
            self._transport.pause_reading()

    async def read(self, most: int) -> bytes:
        """What came, at most so many bytes; nothing at its end."""
        assert self._transport
        while not self._kept and not self.ended:
            await self.news.wait()
            self.news.clear()
        taken = bytes(self._kept[:most])
        del self._kept[:most]
        if len(self._kept) <= FLOWING:
            self._transport.resume_reading()
        return taken

    async def write(self, data: bytes) -> None:
        """Until the host has taken it, or nearly all."""
        assert self._transport
        self._transport.write(data)
        await self._free.wait()

    def pause_writing(self) -> None:
        """asyncio's."""
        self._free.clear()

    def resume_writing(self) -> None:
        """asyncio's."""
        self._free.set()

    def connection_lost(self, error: Exception | None) -> None:
        """As a line's; who waits to write waits no more."""
        super().connection_lost(error)
        self._free.set()


L = TypeVar("L", bound=Line)


@dataclass(frozen=True)
class Hosts:
    """ca, credentials: files, by which hosts and this server know each other.  port: of hosts' consoles."""

    ca: Path
    credentials: Path
    port: int

    async def join(self, host: str, request: str, kind: type[L]) -> L:
        """A console or screen on the host, whose certificate must be its own.  Raises Refused."""
        line: L | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                line = await self._connect(host, kind)
                line.send(f"{request}\n".encode())
                answer = await line.answer
            if answer != "ok":
                raise Refused(answer.removeprefix("no "))
        except BaseException as error:
            if line:
                line.close()
            if isinstance(error, (OSError, TimeoutError)):
                raise Refused(f"{host} doesn't answer: {error or 'too late'}") from error
            raise
        return line

    async def _connect(self, host: str, kind: type[L]) -> L:
        loop = asyncio.get_running_loop()
        transport, line = await loop.create_connection(kind, host, self.port, ssl=self._context)
        try:
            for option, value, level in ALIVE:
                transport.get_extra_info("socket").setsockopt(level, option, value)
            if host not in certificates.names(transport.get_extra_info("ssl_object")):
                raise Refused(f"what answers in the place of {host} has no certificate of its name")
        except BaseException:
            transport.abort()
            raise
        return line

    @cached_property
    def _context(self) -> ssl.SSLContext:
        """OSError where the files are not as they should be, and again at the next try."""
        return certificates.context(self.ca, self.credentials, server=False)
