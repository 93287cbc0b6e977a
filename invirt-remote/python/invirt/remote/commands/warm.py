"""Keeps workers ready for the programs that remctld starts on a remote server."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

from invirt.base import remctl, warm
from invirt.base.errors import NotFound
from invirt.base.names import MachineName
from invirt.base.worker import Role
from invirt.database.ahead import Ahead
from invirt.remote import access, audit, states
from invirt.remote.actor import Actor
from invirt.remote.commands import admin, control, machine, web

PROGRAMS = (machine.COMMAND, control.COMMAND, web.COMMAND, admin.COMMAND)
LATER = ("remctl", "invirt.remote.answers", "invirt.remote.hosts", "invirt.remote.operations")
SPARE = 4  # each holds a session of the database


def usual(cursor: Any) -> None:
    """What most commands ask."""
    who = "host/nobody@NOWHERE"
    states.describe(cursor, access.mine(cursor, who))
    with suppress(NotFound):
        access.find(cursor, MachineName(""), who)
    audit.insert(cursor, audit.Entry(Actor(who)), "", (), "begun", "")


def serve() -> NoReturn:
    """Until it is ended."""
    for module in LATER:  # which those programs import when they need it
        import_module(module)
    programs = {one.name: partial(remctl.main, one, audit=audit.record) for one in PROGRAMS}
    practise = partial(warm.understand, *PROGRAMS)
    warm.serve(Role("remote", programs, partial(Ahead, "remote", usual), SPARE, practise))


COMMAND = warm.command("remote", "users ask", serve)
