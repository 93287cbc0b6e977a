"""invirt-operations: those under way and stuck, and what an administrator does about them."""

from __future__ import annotations

import argparse
import json
import time
from contextlib import closing
from typing import NoReturn

from invirt.base import validate
from invirt.base.cli import Command
from invirt.database import connection
from invirt.database.connection import Connection, transaction
from invirt.database.follow import follow
from invirt.remote.hosts import PATIENCE, RemctlHosts
from invirt.remote.operations import recovery, store
from invirt.remote.operations.crew import Crew
from invirt.remote.operations.model import Operation

OPEN = "state IN ('running', 'undoing', 'stuck')"
EVERY = 1.0  # seconds between two looks for operations that nobody works on
LEFT = "left_over"  # what the database says when an operation is left to the service
QUIET = 60.0  # seconds in which what is tried again and again is told once
NEWEST = 100  # how many `list --all` shows


def listing(connected: Connection, arguments: argparse.Namespace) -> int:
    """Print a line for each operation."""
    where = "true" if arguments.all else "state = 'stuck'" if arguments.stuck else OPEN
    with transaction(connected) as cursor:
        found = list(store.select(cursor, where, limit=NEWEST))
    for operation in found:
        print(_line(operation))
    if not found:
        print("no operation")
    return 0


def _line(operation: Operation) -> str:
    began = f"{operation.created_at:%Y-%m-%d %H:%M:%S}"
    why = f": {operation.error}" if operation.error else ""
    return (
        f"{operation.operation_id:>8} {began} {operation.state:<8} {operation.kind:<12}"
        f" {operation.machine_name} by {operation.principal}{why}"
    )


def show(connected: Connection, arguments: argparse.Namespace) -> int:
    """Print all that is known of one operation."""
    with transaction(connected) as cursor:
        operation = store.load(cursor, arguments.number)
    print(_line(operation).strip())
    if operation.via:
        print(f"  through {operation.via}")
    if operation.arguments:
        print(f"  wanted: {json.dumps(operation.arguments)}")
    if operation.lease_holder:
        print(f"  worked on by {operation.lease_holder} until {operation.lease_until:%H:%M:%S}")
    elif operation.lease_until and operation.is_open:
        print(f"  next try at {operation.lease_until:%H:%M:%S}, {operation.attempts} failed so far")
    for step in operation.steps:
        where = f" on {step.detail['host']}" if "host" in step.detail else ""
        print(f"  {step.position}. {step.name}{where}: {step.state}; undone by {step.undo}")
    return 0


def run(connected: Connection, arguments: argparse.Namespace) -> int:
    """Go on with, or undo, what nobody works on."""
    recovery.run(connected, RemctlHosts(), print)
    return 0


class _News:
    """Says what it is told, but for what it was told a short while ago as well."""

    def __init__(self) -> None:
        self.told: dict[str, float] = {}

    def __call__(self, words: str) -> None:
        now = time.monotonic()
        self.told = {known: when for known, when in self.told.items() if now - when < QUIET}
        if words not in self.told:
            print(words, flush=True)
        self.told[words] = now


def watch() -> NoReturn:
    """Do what run does, but several at once, every second and when something is left to us, for ever."""
    follow(LEFT, EVERY, Crew(RemctlHosts(patience=PATIENCE), _News()).turn)


def retry(connected: Connection, arguments: argparse.Namespace) -> int:
    """Try a stuck or waiting one now."""
    return _told(recovery.retry(connected, RemctlHosts(), arguments.number, print))


def undo(connected: Connection, arguments: argparse.Namespace) -> int:
    """Undo one that nobody works on."""
    return _told(recovery.undo(connected, RemctlHosts(), arguments.number, print))


def resolve(connected: Connection, arguments: argparse.Namespace) -> int:
    """Take one as done or undone by hand."""
    done = arguments.how == "done"
    hosts, gone = RemctlHosts(), arguments.gone
    return _told(recovery.resolve(connected, hosts, arguments.number, done, print, gone))


def _told(operation: Operation) -> int:
    print(f"{operation.title} is {operation.state}")
    return 0


_VERBS = (
    ("show", show, "one operation with its steps, and what undoes each"),
    ("retry", retry, "try a stuck or waiting one now"),
    ("undo", undo, "undo one that nobody works on"),
    ("resolve", resolve, "take one as done or undone on the hosts by hand"),
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verb = verbs.add_parser("list", help="those under way and stuck", description="those under way and stuck")
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--stuck", action="store_true", help="only those that wait for an administrator")
    which.add_argument("--all", action="store_true", help=f"the newest {NEWEST}, finished ones too")
    verb.set_defaults(verb=listing)
    summary = "go on with, or undo, all that nobody works on"
    verbs.add_parser("run", help=summary, description=summary).set_defaults(verb=run)
    summary = f"do that every {EVERY:g} s: invirt-operations.service"
    verbs.add_parser("watch", help=summary, description=summary).set_defaults(verb=watch)
    for word, action, summary in _VERBS:
        verb = verbs.add_parser(word, help=summary, description=summary)
        verb.add_argument("number", metavar="NUMBER", type=validate.token, help="the operation's number")
        if word == "resolve":
            verb.add_argument("--as", dest="how", choices=("done", "undone"), required=True)
            verb.add_argument(
                "--gone",
                metavar="HOST",
                action="append",
                default=[],
                help="a host that never comes back, so that it needn't be told to do nothing late",
            )
        verb.set_defaults(verb=action)


def _run(arguments: argparse.Namespace) -> int:
    connection.role = "remote"
    if arguments.verb is watch:
        watch()
    with closing(connection.connect()) as connected:
        code: int = arguments.verb(connected, arguments)
        return code


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
    arguments=_arguments,
    run=_run,
)
