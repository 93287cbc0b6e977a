"""What a serial console and a screen in a browser have in common: who may be there, and where the machine is.

Down go bytes, and JSON that says how it stands; up go bytes.
"""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from aiohttp import web

from invirt.base import log
from invirt.base.errors import InvirtError, NotFound
from invirt.web.api.bearer import Bearer
from invirt.web.rates import TooOften
from invirt.web.streams.line import Hosts, Refused
from invirt.web.streams.passes import Passes
from invirt.web.streams.reading import PROGRAM, Database
from invirt.web.streams.visits import EVERY
from invirt.web.streams.words import Words, heard

MACHINE = """
SELECT m.machine_id, m.name, h.hostname AS host, t.name AS type, t.virt
FROM web.machines m JOIN web.types t ON t.name = m.type LEFT JOIN web.hosts h ON h.name = m.host
WHERE m.name = %(name)s AND m.machine_id IN (SELECT machine_id FROM access WHERE principal = %(who)s)
"""
HEARTBEAT = 30.0  # seconds between pings; Apache cuts what is silent for 60
SAID = 1 << 16  # bytes of a message from the browser
RETRY = 1.0  # seconds until a host is tried again
NO_MORE = 4403  # why it is closed: who looks on may not any more
T = TypeVar("T")


class Ended(Exception):
    """No more for this user; the text says why."""


@dataclass
class Seats:
    """All that are open of a kind.  each: how many there may be on a machine; a_user: of one user."""

    kind: type[Session]
    database: Database
    words: Words
    hosts: Hosts
    passes: Passes
    each: int
    a_user: int
    taken: Counter[int | str] = field(default_factory=Counter)

    async def find(self, visit: Bearer, name: str) -> Any:
        """The machine and where it is; NotFound for those who may not use it."""
        asked = {"who": visit.who, "name": name, "hash": visit.digest}
        found = await self.database.rows(self.kind.machine, asked)
        if not found:
            raise self.kind.absent(name)
        return found[0]

    async def give(self, request: web.Request, visit: Bearer) -> web.Response:
        """What one is opened with, within a minute."""
        machine = await self.find(visit, request.match_info.get("name", ""))
        with self._seat(machine.machine_id, visit.who):
            given = self.passes.give(visit.who, machine, self.kind.__name__)
        return web.Response(text=given, headers={"Cache-Control": "no-store"})

    async def open(self, request: web.Request, visit: Bearer) -> web.StreamResponse:
        """One, until its user goes."""
        machine = await self.find(visit, request.match_info.get("name", ""))
        name = machine.name
        with self._seat(machine.machine_id, visit.who):
            self.passes.check(request.query.get("pass", ""), visit.who, machine, self.kind.__name__)
            self.kind.admit(name, machine)
            socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=SAID, compress=False)
            await socket.prepare(request)
            said = f"{visit.who} opens the {self.kind.__name__.lower()} of {name}"
            log.write(said, program=PROGRAM, machine=name, principal=visit.who if "@" in visit.who else None)
            await self.kind(self, request, socket, visit, name, machine.machine_id).go()
        return socket

    @contextmanager
    def _seat(self, machine: int, who: str) -> Iterator[None]:
        for of, most, words in (
            (machine, self.each, f"{self.each} browsers are there already"),
            (who, self.a_user, f"you have {self.a_user} of these open already"),
        ):
            if self.taken[of] >= most:
                raise TooOften(words, hint="Close one of them.")
        self.taken.update((machine, who))
        try:
            yield
        finally:
            self.taken.subtract((machine, who))
            self.taken += Counter()  # without those of whom there are none


@dataclass
class Session(ABC):
    """One browser on one machine.

    machine: the question that finds it, if the user may be there.  gone, over: what is said when the
    right, or the time, has ended.
    """

    machine: ClassVar[str] = MACHINE
    gone: ClassVar[str] = "you may not use {} any more"
    over: ClassVar[str] = "your session has ended; sign on again"
    seats: Seats
    request: web.Request
    socket: web.WebSocketResponse
    visit: Bearer
    name: str
    number: int
    told: str = ""

    @classmethod
    @abstractmethod
    def admit(cls, name: str, machine: Any) -> None:
        """Raises InvirtError for a machine that has no such thing."""

    @classmethod
    def absent(cls, name: str) -> NotFound:
        """Where the user may not be there."""
        return NotFound(f"there is no machine {name} that you may use", hint="Its owner can let you in.")

    @abstractmethod
    async def listen(self) -> None:
        """What the browser says, until it goes."""

    @abstractmethod
    async def show(self, word: asyncio.Event) -> None:
        """What the machine says, until there is no more.  word: set when it may be elsewhere."""

    async def go(self) -> None:
        """Until the user leaves, may stay no longer, or closes the page."""
        with self.seats.words.of(self.name) as word:
            tasks = [asyncio.create_task(part) for part in (self.listen(), self.show(word), self._look())]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Ended):
                await self.tell("ended", str(end))
                await self.socket.close(code=NO_MORE)
            elif isinstance(end, Exception) and not isinstance(end, ConnectionError):
                raise end
        await self.socket.close()

    async def _look(self) -> None:
        """Whether the user may stay; a database that is away ends nothing, and lets nobody new in."""
        while time.time() + EVERY < self.visit.until:
            await asyncio.sleep(EVERY)
            if await asyncio.to_thread(self.visit.gone):
                raise Ended(self.over)
            try:
                machine = await self.seats.find(self.visit, self.name)
            except NotFound:
                raise Ended(self.gone.format(self.name)) from None
            except InvirtError:
                continue
            if (machine.machine_id, machine.name) != (self.number, self.name):
                raise Ended(f"this {self.name} is no more; another machine has its name")
        raise Ended(self.over)

    async def join(self, word: asyncio.Event, joining: Callable[[str], Awaitable[T]]) -> T:
        """What the host gives, once the machine is somewhere; Refused where that gives nothing yet."""
        while True:
            try:
                machine = await self.seats.find(self.visit, self.name)
            except InvirtError as error:
                await self.tell("waiting", error.message)
                await heard(word, RETRY)
                continue
            if machine.host:
                break
            await self.tell("off", f"{self.name} is off; this goes on when it is started")
            await heard(word, EVERY)
        try:
            given = await joining(machine.host)
        except Refused as error:
            await self.tell("waiting", f"{self.name} is on {machine.host}; connecting ({error})")
            raise
        await self.tell("joined", "")
        return given

    async def tell(self, state: str, words: str) -> None:
        """Say how it stands, once."""
        said = json.dumps({"state": state, "words": words})
        if said != self.told:
            self.told = said
            with suppress(ConnectionError):
                await self.socket.send_str(said)
