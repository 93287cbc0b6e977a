"""remctl REMOTE admin …: what the site's administrators do every day, without a shell on a server.

The rows are those of invirt-admin and invirt-operations, as far as the remote
server's own rights in the database go: it tells of no host, and of no file on one.
"""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from typing import Any

from invirt.base.cli import Call, Command, Flag, Found, Group, Table, Verb, Who, say
from invirt.base.errors import Denied
from invirt.base.names import MachineName
from invirt.database import connection
from invirt.database.admin import host, owner, pool, range, type
from invirt.database.admin.verbs import Row
from invirt.remote import (
    absorb,
    audit,
    balance,
    fleet,
    limits,
    listing,
    machines,
    moves,
    requests,
    session,
    states,
    verbs,
)
from invirt.remote.actor import Actor
from invirt.remote.commands import operations

NAME = "invirt-remote-admin"
EVERYONES = replace(listing.MACHINES, columns={**(listing.MACHINES.columns or {}), "PRIORITY": "priority"})
WITHOUT = (
    "hostname",
    "kernel",
    "initrd",
    "clock",
    "cdrom",
    "source",
)  # arguments that would need more rights


def _rows(verbs: tuple[Any, ...], *names: str) -> tuple[Verb, ...]:
    """The verbs of those names."""
    return tuple(
        replace(
            verb,
            who=Who.SITE,
            example=None if any(f"--{name} " in (verb.example or "") for name in WITHOUT) else verb.example,
            arguments=tuple(argument for argument in verb.arguments if argument.name not in WITHOUT),
        )
        for verb in verbs
        if verb.name in names
    )


def _part(group: Group, *names: str) -> Group:
    return replace(group, verbs=_rows(group.verbs, *names))


def _everyones(ask: bool = False) -> Any:
    found = listing.list_all(Actor(""), ask)
    return Found(found, [*states.told(found["silent_hosts"]), *listing.alarms()])


def _losses() -> list[Row]:
    """MiB of each host's machines that no other host would have room for."""
    with connection.transaction() as cursor:
        lost = absorb.unplaced(absorb.rooms(cursor))
    return [{"name": name, "without_room": memory} for name, memory in sorted(lost.items())]


def _balance(actor: Actor, do: bool) -> Found:
    """The moves that are proposed, none where the site is well; and what came of them, if they are done."""
    with session.transaction() as cursor:
        proposed = balance.propose(balance.site(cursor), say)
    if not do:
        return Found(balance.rows(proposed))
    done, well = balance.carry_out(
        proposed, lambda one: moves.migrate(actor, MachineName(one.machine), one.target), say
    )
    return Found(done, code=0 if well else 1)


HOST = replace(
    _part(host.GROUP, "list", "set"),
    verbs=(
        *_rows(host.GROUP.verbs, "list", "set"),
        Verb("losses", "what of each host's machines (MiB) had no room elsewhere, should it die", _losses,
             who=Who.SITE, shown=Table()),
        Verb("balance", "the fewest moves that help: part what is kept apart, mend N+1, even out memory",
             _balance, (Flag("do", "move them, one after the other"),), who=Who.SITE, changes=True,
             shown=Table(empty="No move would help.")),
        *fleet.VERBS,
    ),
)  # fmt: skip
OPERATIONS = Group(
    "operations",
    "those under way and stuck",
    _rows(operations.VERBS, "list", "show", "retry", "undo", "resolve"),
)
QUOTA = Group("quota", "what owners may use", (*_rows(owner.GROUP.verbs, "set"), *requests.DECIDING))
LIMIT = Group("limit", "what machines may take of their hosts while they run", limits.BOUNDING)
MACHINE = Group(
    "machine",
    "everyone's machines",
    (
        replace(
            _rows(listing.VERBS, "list")[0], summary="everyone's machines", run=_everyones, shown=EVERYONES
        ),
        Verb(
            "set",
            "say which machines come back first where there isn't room for all",
            machines.set_priority,
            (verbs.NAME, machines.PRIORITY),
            who=Who.SITE,
            changes=True,
        ),
        moves.MIGRATE,
    ),
)


def perform(call: Call, actor: Actor, program: str) -> Any:
    """Audited as an administrator's; raises Denied for whom the database doesn't know as one."""
    with session.transaction() as cursor:
        cursor.execute("SELECT FROM administrators WHERE principal = %s", (actor.principal,))
        if cursor.fetchone() is None:
            raise Denied(f"{actor.principal} is no administrator of this site")
    audit.understood(actor, None, administrator=True)
    if call.verb.changes:
        audit.begin(program, tuple(sys.argv[1:]))
    if call.verb.run is _balance or call.words[-2] == MACHINE.name and call.verb.changes:
        return call.run(replace(actor, administrator=True))
    if any(call.verb.run is verb.run for verb in (*requests.DECIDING, limits.BOUNDING[1])):
        return call.run(actor)
    if call.words[-2] == LIMIT.name:
        return call.run()
    if call.words[-2] == OPERATIONS.name:
        with closing(connection.connect()) as connected:
            return call.run(connected)
    if any(call.verb.run is verb.run for verb in fleet.VERBS):
        with closing(connection.connect()) as connected:
            return call.run(connected, actor)
    from invirt.database.session import transaction  # only here: the ORM takes a quarter of a second

    with transaction():
        return call.run()


VERBS = (
    HOST,
    _part(pool.GROUP, "list", "hosts"),
    _part(range.GROUP, "list", "add", "remove"),
    _part(owner.GROUP, "add", "list", "refresh"),
    _part(owner.MEMBER, "add", "remove"),
    QUOTA,
    LIMIT,
    _part(type.GROUP, "list", "add", "set", "remove"),
    MACHINE,
    OPERATIONS,
)
COMMAND = Command(
    name=NAME,
    section=8,
    summary="what the site's administrators do every day",
    description=(
        "Run by remctld for every authenticated user; who is no administrator of the site is refused.\n"
        "Hosts, pools, networks and types' kernels are told of by invirt-admin on the database server."
    ),
    example="remctl remote.example.org admin operations list --stuck",
    verbs=VERBS,
    do=lambda call: perform(call, Actor(call.caller), NAME),
    remctl="admin",
)
