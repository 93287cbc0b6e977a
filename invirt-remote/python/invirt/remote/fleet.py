"""admin host lost, drain, rejoin: hosts that go, and come back."""

from __future__ import annotations

from dataclasses import replace

from invirt.base.cli import Found, Option, Table, Verb, Who, say
from invirt.database.admin.host import NAME
from invirt.database.connection import Connection
from invirt.remote import drain, lost, rejoin
from invirt.remote.actor import Actor
from invirt.remote.hosts import RemctlHosts

CONFIRM = Option(
    "confirm",
    "what you vouch for, since you have seen to it (that it doesn't answer is not enough); without it the"
    " fence of invirt.yaml is asked",
    choices=tuple(lost.VOUCHED),
)


def _lose(connection: Connection, actor: Actor, *, name: str, confirm: str | None) -> Found:
    found = lost.lose(connection, RemctlHosts(), name, confirm, actor, say)
    return Found(found, code=lost.left_off(found))


def _drain(connection: Connection, actor: Actor, *, name: str) -> Found:
    found = drain.drain(connection, RemctlHosts(), name, replace(actor, administrator=True), say)
    return Found(found, code=lost.left_off(found))


def _rejoin(connection: Connection, actor: Actor, *, name: str) -> str:
    return rejoin.rejoin(connection, RemctlHosts(), name, say)


BOOTED = Table({"MACHINE": "machine", "HOST": "host", "WHAT": "what"}, empty="No machine waits to be booted.")
MOVED = Table({"MACHINE": "machine", "HOST": "host", "WHAT": "what"}, empty="Nothing ran there.")
VERBS = (
    Verb(
        "lost",
        "declare a host dead once it is certain that it is off, and boot its machines elsewhere",
        _lose,
        (NAME, CONFIRM),
        who=Who.SITE,
        changes=True,
        shown=BOOTED,
        example="host1 --confirm power-off",
    ),
    Verb(
        "drain",
        "empty a host: give it nothing new, and move away what runs there; what can't move goes on there",
        _drain,
        (NAME,),
        who=Who.SITE,
        changes=True,
        shown=MOVED,
        example="host1",
    ),
    Verb(
        "rejoin",
        "take a host that was lost, or disabled, back into service",
        _rejoin,
        (NAME,),
        who=Who.SITE,
        changes=True,
    ),
)
