"""invirt-operations: those under way and stuck, and what an administrator does about them."""

from __future__ import annotations

import json
import time
from contextlib import closing
from datetime import datetime
from typing import Any, NoReturn

from invirt.base import validate
from invirt.base.cli import Argument, Call, Command, Flag, Option, Verb, say
from invirt.database import connection
from invirt.database.connection import Connection, transaction
from invirt.database.follow import follow
from invirt.remote import followers, upkeep
from invirt.remote.hosts import RemctlHosts
from invirt.remote.lines import PATIENCE
from invirt.remote.operations import recovery, store
from invirt.remote.operations.crew import Crew
from invirt.remote.operations.model import Operation

Record = dict[str, Any]
OPEN = "state IN ('running', 'undoing', 'stuck')"
EVERY = 1.0  # seconds between two looks for operations that nobody works on
LEFT = "left_over"  # what the database says when an operation is left to the service
QUIET = 60.0  # seconds in which what is tried again and again is told once
NEWEST = 100  # how many `list --all` shows


def listing(connected: Connection, stuck: bool, all: bool) -> list[Record]:
    """A record for each operation."""
    where = "true" if all else "state = 'stuck'" if stuck else OPEN
    with transaction(connected) as cursor:
        return [_record(operation) for operation in store.select(cursor, where, limit=NEWEST)]


def _record(operation: Operation) -> Record:
    """What is known of one, but for its steps."""
    names = ("operation_id", "state", "kind", "machine_name", "principal", "via", "error")
    return {name: getattr(operation, name) for name in names} | {"begun": _time(operation.created_at)}


def _time(when: datetime | None) -> str | None:
    return when.isoformat(timespec="seconds", sep=" ") if when else None


def _lines(found: list[Record]) -> str:
    return "".join(f"{_line(one)}\n" for one in found) or "no operation\n"


def _line(one: Record) -> str:
    why = f": {one['error']}" if one["error"] else ""
    return (
        f"{one['operation_id']:>8} {one['begun'][:19]} {one['state']:<8} {one['kind']:<12}"
        f" {one['machine_name']} by {one['principal']}{why}"
    )


def show(connected: Connection, number: int) -> Record:
    """All that is known of one operation."""
    with transaction(connected) as cursor:
        operation = store.load(cursor, number)
    steps = [
        {"name": step.name, "host": step.detail.get("host"), "state": step.state, "undo": step.undo}
        | {"position": step.position}
        for step in operation.steps
    ]
    waits = bool(operation.lease_until and not operation.lease_holder and operation.is_open)
    return _record(operation) | {
        "arguments": operation.arguments,
        "worked_on_by": operation.lease_holder,
        "until": _time(operation.lease_until) if operation.lease_holder else None,
        "next_try": _time(operation.lease_until) if waits else None,
        "attempts": operation.attempts,
        "steps": steps,
    }


def _described(one: Record) -> str:
    lines = [_line(one).strip()]
    if one["via"]:
        lines.append(f"  through {one['via']}")
    if one["arguments"]:
        lines.append(f"  wanted: {json.dumps(one['arguments'])}")
    if one["worked_on_by"]:
        lines.append(f"  worked on by {one['worked_on_by']} until {one['until'][11:19]}")
    if one["next_try"]:
        lines.append(f"  next try at {one['next_try'][11:19]}, {one['attempts']} failed so far")
    for step in one["steps"]:
        where = f" on {step['host']}" if step["host"] else ""
        lines.append(
            f"  {step['position']}. {step['name']}{where}: {step['state']}; undone by {step['undo']}"
        )
    return "".join(f"{line}\n" for line in lines)


def run(connected: Connection) -> None:
    """Go on with, or undo, what nobody works on."""
    recovery.run(connected, RemctlHosts(), say)


class _News:
    """Says what it is told, but for what it was told a short while ago as well."""

    def __init__(self) -> None:
        self.told: dict[str, float] = {}

    def __call__(self, words: str) -> None:
        now = time.monotonic()
        self.told = {known: when for known, when in self.told.items() if now - when < QUIET}
        if words not in self.told:
            say(words)
        self.told[words] = now


def watch() -> NoReturn:
    """Do what run does, but several at once, every second and when something is left to us, for ever."""
    follow(LEFT, EVERY, Crew(RemctlHosts(patience=PATIENCE), _News()).turn)


def keep_up() -> NoReturn:
    """Empty and upgrade hosts, as administrators have said, for ever."""
    follow(None, EVERY, lambda connected: upkeep.turn(connected, RemctlHosts(), say))


def retry(connected: Connection, number: int) -> str:
    """Try a stuck or waiting one now."""
    return _told(recovery.retry(connected, RemctlHosts(), number, say))


def undo(connected: Connection, number: int) -> str:
    """Undo one that nobody works on."""
    return _told(recovery.undo(connected, RemctlHosts(), number, say))


def resolve(connected: Connection, number: int, how: str, gone: tuple[str, ...]) -> str:
    """Take one as done or undone by hand."""
    return _told(recovery.resolve(connected, RemctlHosts(), number, how == "done", say, gone))


def _told(operation: Operation) -> str:
    return f"{operation.title} is {operation.state}"


NUMBER = Argument("number", "the operation's number", validate.token, "NUMBER", sample="12")
HOW = Option(
    "how", "what is true on the hosts now", choices=("done", "undone"), spelled="--as", required=True
)
GONE = Option(
    "gone",
    "a host that never comes back, so that it needn't be told to do nothing late",
    metavar="HOST",
    several=True,
)
WHICH = (
    Flag("stuck", "only those that wait for an administrator"),
    Flag("all", f"the newest {NEWEST}, finished ones too"),
)
VERBS = (
    Verb("list", "those under way and stuck", listing, WHICH, shown=_lines, apart=("stuck", "all")),
    Verb("run", "go on with, or undo, all that nobody works on", run, changes=True),
    Verb("watch", f"do that every {EVERY:g} s: invirt-operations.service", watch, shown=None),
    Verb("tell", "tell those who follow operations: invirt-followers.service", followers.serve, shown=None),
    Verb("upkeep", "empty and upgrade hosts, as administrators say: invirt-upkeep.service", keep_up,
         shown=None),
    Verb("show", "one operation with its steps, and what undoes each", show, (NUMBER,), shown=_described),
    Verb("retry", "try a stuck or waiting one now", retry, (NUMBER,), changes=True),
    Verb("undo", "undo one that nobody works on", undo, (NUMBER,), changes=True),
    Verb("resolve", "take one as done or undone on the hosts by hand", resolve, (NUMBER, HOW, GONE),
         changes=True),
)  # fmt: skip


def _do(call: Call) -> Any:
    connection.role = "remote"
    if call.verb.run in (watch, keep_up, followers.serve):
        call.run()
    with closing(connection.connect()) as connected:
        return call.run(connected)


COMMAND = Command(
    name="invirt-operations",
    section=8,
    summary="operations on machines: under way, left over, stuck",
    description=(
        "Everything that changes a machine is an operation whose steps, and what undoes each, are in the\n"
        "database before they are done.  One whose requester died is gone on with by `watch`, one that\n"
        "failed is undone.  One that can't be undone is stuck: look at it with `show`, mend what is wrong,\n"
        "then `retry`; or put the hosts right by hand, then `resolve` it."
    ),
    example="invirt-operations resolve 12 --as undone",
    verbs=VERBS,
    do=_do,
)
