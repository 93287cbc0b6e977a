"""invirt-reconcile: what the database, the hosts and the storage disagree on."""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing

from invirt.base.cli import Command
from invirt.base.errors import InvirtError
from invirt.database import connection
from invirt.database.connection import Connection
from invirt.remote import operations, reconcile, wanted
from invirt.remote.hosts import RemctlHosts

NAME = "invirt-reconcile"


def _arguments(parser: argparse.ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--fix", action="store_true", help="do what is shown, where anything may be done")
    how.add_argument(
        "--release",
        action="store_true",
        help="only give back the memory of guests that are off, and boot again what crashed (the timer)",
    )
    how.add_argument(
        "--trash", action="store_true", help="only end what has lain in the trash for long enough (a timer)"
    )


def _run(arguments: argparse.Namespace) -> int:
    connection.role = "remote"
    hosts = RemctlHosts()
    with closing(connection.connect()) as connected:
        if arguments.release:
            return _release(connected, hosts)
        if arguments.trash:
            for words in reconcile.tidy_trash(connected, hosts):
                print(words)
            return 0
        facts = reconcile.gather(connected, hosts)
        left = [
            difference
            for difference in reconcile.compare(facts, connected, hosts)
            if not _handle(difference, arguments.fix)
        ]
    if not left:
        print("no difference left" if arguments.fix else "no difference")
    return 1 if left else 0


def _release(connected: Connection, hosts: RemctlHosts) -> int:
    """The timer's turn.  Boots are processes of their own: a call to a host keeps Python's lock."""
    facts = reconcile.gather(connected, hosts, volumes=False)
    again = wanted.to_boot(connected, facts)
    for words in reconcile.release_off(connected, facts, again):
        print(f"{words}: given back")
    if again:
        with ProcessPoolExecutor(wanted.AT_ONCE * len(facts.hosts)) as pool:
            for words in pool.map(_boot, again):
                print(words)
    return 0


def _boot(name: str) -> str:
    """Boot a machine again; returns what came of it."""
    try:
        operations.submit("boot", wanted.actor(), name)
    except InvirtError as error:
        return f"{name} could not be booted again: {error.message}"
    return f"{name} is booted again"


def _handle(difference: reconcile.Difference, fix: bool) -> bool:
    """Show a difference, and do something about it if that is wanted and possible; whether it is gone."""
    print(f"{difference.words}\n    {difference.remedy}", end="")
    if not (fix and difference.fix):
        print(" (--fix does it)" if difference.fix else "")
        return False
    try:
        difference.fix()
    except InvirtError as error:
        print(f": {error.message}")
        return False
    print(": done")
    return True


COMMAND = Command(
    name=NAME,
    section=8,
    summary="compare the database with what the hosts run and hold",
    description=(
        "Shows each difference with what would be done about it, and ends with 0 only when there is none.\n"
        "Guests that run are reported and never touched; volumes go to the trash, never straight to nothing."
    ),
    example="invirt-reconcile --fix",
    arguments=_arguments,
    run=_run,
)
