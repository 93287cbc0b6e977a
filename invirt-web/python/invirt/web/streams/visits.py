"""Who opens a stream, and how many there are."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from aiohttp import web
from itsdangerous import URLSafeTimedSerializer

from invirt.base.errors import Denied
from invirt.web import doors, looks, session
from invirt.web.accounts import Accounts
from invirt.web.api import bearer
from invirt.web.api.bearer import Bearer
from invirt.web.rates import Rates, TooOften
from invirt.web.streams.reading import Database

EACH = 40  # streams of one user; one that a browser has left counts until the next word on it
ALL = 1000  # of all, fewer than Apache has threads
EVERY = 10.0  # seconds between looks whether somebody still may


@dataclass
class Door:
    """Lets in who has a session of the pages, or, where a token does, a token of the API."""

    signing: URLSafeTimedSerializer
    sealing: URLSafeTimedSerializer
    accounts: Accounts = field(default_factory=lambda: Accounts(doors.still))
    rates: Rates = field(default_factory=Rates)
    taken: Counter[str] = field(default_factory=Counter)

    async def by_session(self, request: web.Request) -> Bearer:
        """Whose session it is; raises SignOn."""
        return await self._bearer(session.read(self.signing, request.cookies.get(session.COOKIE, "")))

    async def by_token(self, request: web.Request, database: Database) -> Bearer:
        """Whose token it is, if there is one, else whose session; raises SignOn."""
        if "Authorization" not in request.headers:
            return await self.by_session(request)
        token = bearer.given(request.headers)
        digest = bearer.digest(token)
        if digest is None:
            return await self._bearer(session.read(self.sealing, token))
        found = await database.rows(bearer.TOKEN, {"hash": digest})
        return replace(bearer.of_row(found[0] if found else None), digest=digest)

    async def _bearer(self, kept: session.Session) -> Bearer:
        """In a thread, since a KDC may be asked."""
        return await asyncio.to_thread(bearer.of_session, self.accounts, kept)

    async def by_look(self, request: web.Request, database: Database) -> Bearer:
        """Who has the link to a look, who is nobody in particular; raises NotFound."""
        known = looks.digest(request.match_info["token"])
        found = await database.rows(looks.LOOK, {"hash": known})
        if not found:
            raise looks.absent()
        return Bearer(f"look {found[0].look_id}", until=time.time() + found[0].seconds, digest=known)

    @contextmanager
    def visit(self, request: web.Request, bearer: Bearer) -> Iterator[Bearer]:
        """One stream.  Raises Denied for who comes from another site; TooOften."""
        origin = request.headers.get("Origin")
        if origin not in (None, f"https://{request.host}"):
            raise Denied("that is asked by another site")
        who = bearer.who
        self.rates.take(who, 1.0)
        if self.taken[who] >= EACH or self.taken.total() >= ALL:
            raise TooOften(
                "there are as many streams as there may be", hint="Close a page, or wait a minute."
            )
        self.taken[who] += 1
        try:
            yield bearer
        finally:
            self.taken[who] -= 1
            if not self.taken[who]:
                del self.taken[who]
