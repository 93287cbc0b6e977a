"""invirt-reconcile: what the database, the hosts and the storage disagree on."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from typing import Any

from invirt.base.cli import Command, Flag, Found, say
from invirt.base.errors import InvirtError
from invirt.base.names import MachineName
from invirt.database import connection
from invirt.database.connection import Connection
from invirt.remote import operations, reconcile, wanted
from invirt.remote.hosts import RemctlHosts

NAME = "invirt-reconcile"


def _run(fix: bool, release: bool, trash: bool) -> Any:
    connection.role = "remote"
    hosts = RemctlHosts()
    with closing(connection.connect()) as connected:
        if release:
            return {"done": _release(connected, hosts)}
        if trash:
            return {"done": _told(reconcile.tidy_trash(connected, hosts))}
        facts = reconcile.gather(connected, hosts)
        found = [_handle(difference, fix) for difference in reconcile.compare(facts, connected, hosts)]
    return Found({"fix": fix, "differences": found}, code=int(any(one["left"] for one in found)))


def _told(lines: Iterable[str]) -> list[str]:
    """Each line, said as soon as it is true."""
    told = []
    for line in lines:
        say(line)
        told.append(line)
    return told


def _release(connected: Connection, hosts: RemctlHosts) -> list[str]:
    """The timer's turn.  Boots are processes of their own: a call to a host keeps Python's lock."""
    facts = reconcile.gather(connected, hosts, volumes=False)
    again = wanted.to_boot(connected, facts)
    told = _told(f"{words}: given back" for words in reconcile.release_off(connected, facts, again))
    if again:
        with ProcessPoolExecutor(wanted.AT_ONCE * len(facts.hosts)) as pool:
            told += _told(pool.map(_boot, again))
    return told


def _boot(name: MachineName) -> str:
    """Boot a machine again; returns what came of it."""
    try:
        operations.submit("boot", wanted.actor(), name)
    except InvirtError as error:
        return f"{name} could not be booted again: {error.message}"
    return f"{name} is booted again"


def _handle(difference: reconcile.Difference, fix: bool) -> dict[str, Any]:
    """Say a difference, and do something about it if that is wanted and possible."""
    record = {"difference": difference.words, "remedy": difference.remedy, "left": True, "why": ""}
    said = f"{difference.words}\n    {difference.remedy}"
    if not (fix and difference.fix):
        say(f"{said} (--fix does it)" if difference.fix else said)
        return record
    try:
        difference.fix()
    except InvirtError as error:
        say(f"{said}: {error.message}")
        return record | {"why": error.message}
    say(f"{said}: done")
    return record | {"left": False}


def _closing(record: dict[str, Any]) -> str:
    """What is said at the end, if all is well; the rest was told before."""
    if "differences" not in record or any(one["left"] for one in record["differences"]):
        return ""
    return "no difference left\n" if record["fix"] else "no difference\n"


COMMAND = Command(
    name=NAME,
    section=8,
    summary="compare the database with what the hosts run and hold",
    description=(
        "Shows each difference with what would be done about it, and ends with 0 only when there is none.\n"
        "Guests that run are reported and never touched; volumes go to the trash, never straight to nothing."
    ),
    example="invirt-reconcile --fix",
    arguments=(
        Flag("fix", "do what is shown, where anything may be done"),
        Flag(
            "release",
            "only give back the memory of guests that are off, and boot again what crashed (the timer)",
        ),
        Flag("trash", "only end what has lain in the trash for long enough (a timer)"),
    ),
    apart=("fix", "release", "trash"),
    run=_run,
    shown=_closing,
)
