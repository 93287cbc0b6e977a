"""What a page function is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from invirt.base.errors import BadInput, Busy, Denied, InvirtError, NoRoom, NotFound, Unreachable
from invirt.web.rates import TooOften

STATUS = {BadInput: 400, Denied: 403, NotFound: 404, Busy: 409, NoRoom: 409, TooOften: 429, Unreachable: 503}


@dataclass(frozen=True)
class Visit:
    """Who asks, and what was given: the query's values, or the form's."""

    who: str = ""
    administrator: bool = False
    values: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """A page to be shown: pages/NAME.mako with values.

    again: seconds until it comes again.  script: static/NAME.js, which then does better.
    kind: what it is, if not a page but a picture in one.
    """

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    again: int | None = None
    script: str = ""
    kind: str = "text/html"


@dataclass(frozen=True)
class Go:
    """Another page is next; told: what it says first.

    who: whom it gives a session, "" ends it.  door: which one has signed them on.
    """

    to: str
    told: str = ""
    who: str | None = None
    door: str = ""


Answer = Page | Go


def status(error: InvirtError) -> int:
    """HTTP's word for an error: that of the nearest kind that has one."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
