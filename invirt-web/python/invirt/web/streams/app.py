"""The streams as an application of aiohttp: what is where, and what is said when it goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from invirt import config
from invirt.base import log
from invirt.base.errors import InvirtError
from invirt.base.notify import notify
from invirt.web import session
from invirt.web.answers import status
from invirt.web.api import bearer
from invirt.web.streams import progress
from invirt.web.streams.line import Hosts
from invirt.web.streams.look import EACH as EACH_LOOK
from invirt.web.streams.look import Look
from invirt.web.streams.machine import Seats
from invirt.web.streams.passes import SALT, Passes
from invirt.web.streams.reading import PROGRAM, Database
from invirt.web.streams.screen import A_USER, EACH, Screen
from invirt.web.streams.serial import Serial
from invirt.web.streams.visits import EACH as STREAMS
from invirt.web.streams.visits import Door
from invirt.web.streams.words import Words

LONGEST = 4096  # bytes of what is asked without a stream
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Whose = Callable[[web.Request], Awaitable[bearer.Bearer]]
Visited = Callable[[web.Request, bearer.Bearer], Awaitable[web.StreamResponse]]


@web.middleware  # type: ignore[untyped-decorator]  # mypy skips aiohttp
async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """An error in words: pages look at the status alone."""
    try:
        return await handler(request)
    except ConnectionResetError:  # the browser has gone
        raise
    except session.SignOn as error:
        return web.Response(status=401, text=f"{error}\n")
    except InvirtError as error:
        return web.Response(status=status(error), text=f"{error}\n")
    except (web.HTTPException, asyncio.CancelledError):
        raise
    except Exception as error:
        log.bug(error, program=PROGRAM)
        return web.Response(status=500, text="something is wrong here; it has been written down\n")


class Streams:
    """All that is open.  key: what the pages' sessions are signed with."""

    def __init__(self, key: bytes, hosts: Hosts) -> None:
        self.door = Door(session.signed(key), session.signed(key, bearer.SALT))
        self.words = {"operations": Words(), "consoles": Words()}
        self.database = Database(self._word)
        shared = (self.database, self.words["consoles"], hosts, Passes(session.signed(key, SALT)))
        self.consoles = Seats(Serial, *shared, config.console.sessions_a_machine, STREAMS)
        self.looks = Seats(Look, *shared, EACH_LOOK, EACH_LOOK)
        self.screens = Seats(Screen, *shared, EACH, A_USER)
        self._loop: asyncio.AbstractEventLoop | None = None

    def _word(self, channel: str, about: str) -> None:
        """Called in the database's thread."""
        if self._loop:
            self._loop.call_soon_threadsafe(self.words[channel].say, about)

    def app(self) -> web.Application:
        """What aiohttp runs."""
        made = web.Application(middlewares=[_answered], client_max_size=LONGEST)
        made.router.add_get(r"/streams/operations/{number:\d{1,18}}", self._operation)
        name, token = "{name:[a-z0-9-]{1,63}}", "{token:[A-Za-z0-9_-]{43}}"
        for place, seats, whose in (
            (f"/streams/consoles/{name}", self.consoles, self.door.by_session),
            (f"/streams/screens/{name}", self.screens, self.door.by_session),
            (f"/streams/looks/{token}", self.looks, self._by_look),
        ):
            made.router.add_get(place, self._for(whose, seats.open))
            made.router.add_get(f"{place}/pass", self._for(whose, seats.give))
        made.on_startup.append(self._start)
        return made

    async def _start(self, _: web.Application) -> None:
        self._loop = asyncio.get_running_loop()
        self.database.start()
        notify("READY=1")

    async def _operation(self, request: web.Request) -> web.StreamResponse:
        who = await self.door.by_token(request, self.database)
        with self.door.visit(request, who) as visit:
            return await progress.follow(request, visit, self.database, self.words["operations"])

    async def _by_look(self, request: web.Request) -> bearer.Bearer:
        return await self.door.by_look(request, self.database)

    def _for(self, whose: Whose, does: Visited) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            with self.door.visit(request, await whose(request)) as visit:
                return await does(request, visit)

        return handler
