"""admin host lost, drain, update, rejoin: hosts that go, and come back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from invirt.base.cli import Flag, Found, Option, Table, Verb, Who, say
from invirt.base.errors import BadInput, InvirtError
from invirt.database.admin.host import NAME
from invirt.database.connection import Connection
from invirt.remote import clock, drain, lost, rejoin, upkeep
from invirt.remote.actor import Actor
from invirt.remote.hosts import RemctlHosts
from invirt.remote.operations.model import Say

CONFIRM = Option(
    "confirm",
    "what you vouch for, since you have seen to it (that it doesn't answer is not enough); without it the"
    " fence of invirt.yaml is asked",
    choices=tuple(lost.VOUCHED),
)


def _lose(connection: Connection, actor: Actor, *, name: str, confirm: str | None) -> Found:
    found = lost.lose(connection, RemctlHosts(), name, confirm, actor, say)
    return Found(found, code=lost.left_off(found))


LOOK = 1.0  # seconds between two looks at how it goes
LONGEST = 12 * 60.0  # seconds: a connection of remctl's lasts no longer than a quarter of an hour
NO_WAIT = Flag("no_wait", "have it done, and don't wait: the page of hosts shows how it goes")


def _drain(connection: Connection, actor: Actor, *, name: str, no_wait: bool) -> Found:
    if no_wait:
        upkeep.begin(connection, "drain", [name], "never", actor.principal)
        return Found([], shown=lambda _: f"{name} is being emptied\n")
    found = drain.drain(connection, RemctlHosts(), name, replace(actor, administrator=True), say)
    return Found(found, code=lost.left_off(found))


def _rejoin(connection: Connection, actor: Actor, *, name: str) -> str:
    said = rejoin.rejoin(connection, RemctlHosts(), name, say)
    upkeep.forget(connection, name)
    return said


def _update(
    connection: Connection, actor: Actor, *, names: tuple[str, ...], all: bool, reboot: str, no_wait: bool
) -> Found:
    if all == bool(names):
        raise BadInput("which hosts?", hint="Name them, or say --all.")
    upkeep.begin(connection, "update", names, reboot, actor.principal)
    if not no_wait:
        follow(connection, "update", say)
    found = upkeep.rows(connection, "update")
    open_ = [row for row in found if row["step"] != "done"]
    notes = []
    if open_ and not no_wait and not any(row["failed"] for row in found):
        notes.append("it goes on by itself; who says the same again sees how")
    failed = any(row["failed"] for row in open_)
    return Found([_told(row) for row in found], notes, code=InvirtError.exit_code if failed else 0)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    what = f"FAILED: {row['failed']}. {row['todo']}" if row["failed"] else row["told"]
    return {"host": row["host"], "step": upkeep.WORDS[row["step"]], "what": what}


def follow(connection: Connection, kind: str, say: Say) -> None:
    """Say how it goes, until it has come to its end, has failed, or for as long as a connection lasts."""
    begun, said = clock.current.monotonic(), ""
    while clock.current.monotonic() - begun < LONGEST:
        found = upkeep.rows(connection, kind)
        done = [row for row in found if row["step"] == "done"]
        for row in found:
            words = f"{upkeep.WORDS[row['step']]}{': ' if row['told'] else ''}{row['told']}"
            if row["step"] not in ("wait", "done") and said != (now := f"{row['host']} {words}"):
                said = now
                say(f"host {min(len(done) + 1, len(found))} of {len(found)}: {now}")
        if len(done) == len(found) or any(row["failed"] for row in found):
            return
        clock.current.sleep(LOOK)


NAMES = replace(NAME, name="names", help="the hosts", several=True, required=False)
ALL = Flag("all", "all that are in service")
REBOOT = Option("reboot", "when a host is booted anew (usually where what was installed needs it)",
                choices=("needed", "always", "never"), default="needed")  # fmt: skip
UPDATED = Table({"HOST": "host", "STEP": "step", "WHAT": "what"}, empty="No host was upgraded.")
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
        (NAME, NO_WAIT),
        who=Who.SITE,
        changes=True,
        shown=MOVED,
        example="host1",
    ),
    Verb(
        "update",
        "upgrade hosts, one after the other: empty each, apt, reboot, check, back into service; stops at the"
        " first that fails, and goes on when it is said again",
        _update,
        (NAMES, ALL, REBOOT, NO_WAIT),
        who=Who.SITE,
        changes=True,
        shown=UPDATED,
        example="--all",
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
