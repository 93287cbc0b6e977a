"""Which page is where, and whom it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

from invirt.web import doors, keys, machines, making, quotas, session, sharing, site, tokens
from invirt.web.answers import Answer, Go, Page, Visit


class Whom(Enum):
    """Whom a page is for."""

    ANYONE = "anyone"
    USER = "whoever is signed on"
    SITE = "administrators of the site"


@dataclass(frozen=True)
class Route:
    """A page.  changes: it is a form's, and wants the session's secret."""

    rule: str
    answer: Callable[..., Answer]
    whom: Whom = Whom.USER
    changes: bool = False


def sign_on(visit: Visit) -> Answer:
    """How one can sign on."""
    to = session.within(visit.values.get("next", "/"))
    return Page("sign-on", {"doors": doors.there(), "next_page": to, "failed": False})


def door(visit: Visit, name: str) -> Answer:
    """Apache has signed somebody on."""
    who = doors.principal(name, visit.headers)
    return Go(session.within(visit.values.get("next", "/")), who=who, door=name)


def not_in(visit: Visit) -> Answer:
    """Apache has signed on nobody."""
    return Page("sign-on", {"doors": doors.there(), "next_page": "/", "failed": True}, 401)


def sign_off(visit: Visit) -> Answer:
    """End the session."""
    return Go("/sign-on", who="")


ROUTES = (
    Route("/", machines.mine),
    Route("/new", making.new),
    Route("/new", making.create, changes=True),
    Route("/machines/<name>", machines.machine),
    Route("/machines/<name>/day.svg", machines.day),
    Route("/machines/<name>/console", machines.console),
    Route("/machines/<name>/screen", machines.screen),
    Route("/machines/<name>/look/<verb>", sharing.change, changes=True),
    Route("/machines/<name>/<verb>", machines.change, changes=True),
    Route("/trash/<name>/<verb>", machines.trash, changes=True),
    Route("/offers/<name>/<verb>", machines.offer, changes=True),
    Route("/operations/<int:number>", machines.operation),
    Route("/quotas", quotas.show),
    Route("/quotas", quotas.ask, changes=True),
    Route("/keys", keys.show),
    Route("/keys/<verb>", keys.change, changes=True),
    Route("/tokens", tokens.show),
    Route("/tokens/<verb>", tokens.change, changes=True),
    Route("/help", lambda visit: Page("help"), Whom.USER),
    *(Route(f"/site/{name}", partial(site.show, name=name), Whom.SITE) for name in site.LISTS),
    *(
        Route(f"/site/{name}", partial(site.change, name=name), Whom.SITE, changes=True)
        for name, table in site.LISTS.items()
        if table.verbs
    ),
    Route("/site", site.show, Whom.SITE),
    Route("/look/<token>", sharing.look, Whom.ANYONE),
    Route("/sign-on", sign_on, Whom.ANYONE),
    Route("/sign-on/failed", not_in, Whom.ANYONE),
    Route("/sign-on/<name>", door, Whom.ANYONE),
    Route("/sign-off", sign_off, changes=True),
)
