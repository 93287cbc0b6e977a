"""The ways to the site: by remctl to its remote server, or over HTTPS to its web server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from invirt.client import call, site, web

Say = Callable[[tuple[str, ...], call.Lines, call.Lines], int]


def find(by_web: bool = False, follows: bool = False) -> Say:
    """What says words, prints what comes, and returns the exit code.

    by_web: by the web server; so it is, too, where the environment names one.  follows: an operation.
    """
    if server := web.find(by_web):
        return server.follow if follows else server.say
    return partial(call.follow if follows else call.say, site.find())
