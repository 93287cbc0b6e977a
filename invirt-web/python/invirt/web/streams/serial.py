"""A machine's serial console in a browser.

Down go the console's bytes, and JSON that says how it stands; up goes what is typed, as bytes,
and in JSON how many bytes the browser has shown.  Beyond so many that it has not shown, it gets no
more; the line to the host is read all the same.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from invirt.base.errors import InvirtError, NotFound
from invirt.web.rates import TooOften
from invirt.web.streams.line import Hosts, Line, Refused
from invirt.web.streams.reading import Database
from invirt.web.streams.visits import EVERY, Visit
from invirt.web.streams.words import Words, heard

MACHINE = """
SELECT m.machine_id, h.hostname AS host FROM web.machines m LEFT JOIN web.hosts h ON h.name = m.host
WHERE m.name = %(name)s AND m.machine_id IN (SELECT machine_id FROM access WHERE principal = %(who)s)
"""
HEARTBEAT = 30.0  # seconds between pings; Apache cuts what is silent for 60
WINDOW = 1 << 18  # bytes that a browser has yet to show
CHUNK = 1 << 15  # bytes of a message
TYPED = 1 << 16  # bytes of a message from the browser
RETRY = 1.0  # seconds until a host is tried again
NO_MORE = 4403  # why it is closed: who looks on may not any more


class Ended(Exception):
    """No more console for this user; the text says why."""


@dataclass
class Consoles:
    """All that are open.  each: how many there may be on a machine."""

    database: Database
    words: Words
    hosts: Hosts
    each: int
    taken: Counter[int] = field(default_factory=Counter)

    async def find(self, who: str, name: str) -> Any:
        """The machine and where it is; NotFound for those who may not use it."""
        found = await self.database.rows(MACHINE, {"who": who, "name": name})
        if not found:
            raise NotFound(f"there is no machine {name} that you may use", hint="Its owner can let you in.")
        return found[0]

    async def open(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """One, until its user goes."""
        name = request.match_info["name"]
        machine = await self.find(visit.who, name)
        with self._seat(machine.machine_id):
            socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=TYPED, compress=False)
            await socket.prepare(request)
            await Session(self, socket, visit, name, machine.machine_id).go()
        return socket

    @contextmanager
    def _seat(self, machine: int) -> Iterator[None]:
        if self.taken[machine] >= self.each:
            raise TooOften(f"{self.each} browsers are on this console already", hint="Close one of them.")
        self.taken[machine] += 1
        try:
            yield
        finally:
            self.taken[machine] -= 1
            if not self.taken[machine]:
                del self.taken[machine]


@dataclass
class Session:
    """One browser on one machine's console."""

    consoles: Consoles
    socket: web.WebSocketResponse
    visit: Visit
    name: str
    number: int
    line: Line | None = None
    unshown: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    told: str = ""

    async def go(self) -> None:
        """Until the user leaves, may stay no longer, or closes the page."""
        tasks = [asyncio.create_task(part()) for part in (self._listen, self._show, self._look)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Ended):
                await self._tell("ended", str(end))
                await self.socket.close(code=NO_MORE)
            elif isinstance(end, Exception) and not isinstance(end, ConnectionError):
                raise end
        await self.socket.close()

    async def _listen(self) -> None:
        """What the browser says."""
        async for message in self.socket:
            if message.type is WSMsgType.BINARY:
                if self.line and not self.line.send(message.data):
                    await self._tell("busy", "the machine takes no more of what is typed; the rest is lost")
            elif message.type is WSMsgType.TEXT:
                with suppress(ValueError, KeyError, TypeError):
                    self.unshown = max(0, self.unshown - int(json.loads(message.data)["shown"]))
                    self.news.set()

    async def _look(self) -> None:
        """Whether the user may stay; a database that is away ends nothing, and lets nobody new in."""
        while time.time() + EVERY < self.visit.until:
            await asyncio.sleep(EVERY)
            try:
                machine = await self.consoles.find(self.visit.who, self.name)
            except NotFound:
                raise Ended(f"you may not use {self.name} any more") from None
            except InvirtError:
                continue
            if machine.machine_id != self.number:
                raise Ended(f"this {self.name} is no more; another machine has its name")
        raise Ended("you have been signed on for long enough; sign on again")

    async def _show(self) -> None:
        """The console, wherever the machine is; a machine that is off or moves is waited for."""
        with self.consoles.words.of(self.name) as word:
            while True:
                with suppress(Refused):
                    self.line = await self._join(word)
                    try:
                        await self._carry(self.line)
                    finally:
                        self.line.close()
                    if self.line.left:
                        await self._tell("left", "you have left the console")
                        return
                await heard(word, RETRY)

    async def _join(self, word: asyncio.Event) -> Line:
        """A line to where the machine is, once it is somewhere; Refused where that gives none."""
        while True:
            try:
                machine = await self.consoles.find(self.visit.who, self.name)
            except InvirtError as error:
                await self._tell("waiting", error.message)
                await heard(word, RETRY)
                continue
            if machine.host:
                break
            await self._tell("off", f"{self.name} is off; its console comes when it is started")
            await heard(word, EVERY)
        try:
            line = await self.consoles.hosts.join(machine.host, f"{self.name} {self.number} attach")
        except Refused as error:
            await self._tell("waiting", f"{self.name} is on {machine.host}; connecting ({error})")
            raise
        await self._tell("joined", "")
        return line

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

    async def _tell(self, state: str, words: str) -> None:
        """Say how it stands, once."""
        said = json.dumps({"state": state, "words": words})
        if said != self.told:
            self.told = said
            with suppress(ConnectionError):
                await self.socket.send_str(said)
