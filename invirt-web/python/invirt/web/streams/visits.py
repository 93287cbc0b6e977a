"""Who opens a stream, and how many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web
from itsdangerous import URLSafeTimedSerializer

from invirt.base.errors import Denied
from invirt.web import session
from invirt.web.rates import Rates, TooOften

EACH = 40  # streams of one user; one that a browser has left counts until the next word on it
ALL = 1000  # of all, fewer than Apache has threads
EVERY = 10.0  # seconds between looks whether somebody still may


@dataclass(frozen=True)
class Visit:
    """Who it is, and until when the session lasts, in seconds since 1970."""

    who: str
    until: float


@dataclass
class Door:
    """Lets in who has a session of the pages."""

    signing: URLSafeTimedSerializer
    rates: Rates = field(default_factory=Rates)
    taken: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def visit(self, request: web.Request) -> Iterator[Visit]:
        """One stream.  Raises Denied for who has no session, or comes from another site; TooOften."""
        origin = request.headers.get("Origin")
        if origin not in (None, f"https://{request.host}"):
            raise Denied("that is asked by another site")
        kept = session.read(self.signing, request.cookies.get(session.COOKIE, ""))
        who = session.principal(kept)
        self.rates.take(who, 1.0)
        if self.taken[who] >= EACH or self.taken.total() >= ALL:
            raise TooOften(
                "there are as many streams as there may be", hint="Close a page, or wait a minute."
            )
        self.taken[who] += 1
        try:
            yield Visit(who, kept["since"] + session.LASTS)
        finally:
            self.taken[who] -= 1
            if not self.taken[who]:
                del self.taken[who]
