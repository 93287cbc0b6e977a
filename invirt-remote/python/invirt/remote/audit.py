"""The audit table: who asked for what, before it is done and after.

What changes anything is written down as `begun` first: if that fails the
command is refused.  How it ended is a second row (remote can't change rows of
this table).  What only asks has one row, at its end.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from invirt.base import log
from invirt.base.errors import Unreachable
from invirt.base.remctl import Outcome
from invirt.remote.actor import Actor
from invirt.remote.rows import Cursor
from invirt.remote.session import is_open, transaction

LONGEST = 1000  # letters of the arguments

INSERT = """
INSERT INTO audit (principal, via, command, arguments, machine_name, outcome, message, administrator,
    address)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING administrator
"""


@dataclass(frozen=True)
class Entry:
    """What is known of a command once its arguments were understood."""

    actor: Actor
    machine_name: str | None = None


class _Now:
    entry: Entry | None = None
    administrator: bool | None = None  # as the database saw it when the change began: its machine may be gone


def understood(actor: Actor, machine_name: str | None, *, administrator: bool | None = None) -> None:
    """Tell who acts on which machine, for the rows of this process' command.

    administrator: whether by that right alone; None: as the database sees it.
    """
    log.about(machine=machine_name, principal=actor.principal)
    _Now.entry = Entry(actor, machine_name)
    _Now.administrator = administrator


def begin(program: str, words: tuple[str, ...]) -> None:
    """Write that a change is begun; raises InvirtError if it can't be written."""
    assert _Now.entry, "a command's arguments are understood before it begins"
    _write(_Now.entry, program, words, "begun", "")


def record(outcome: Outcome) -> None:
    """Write how a command ended; raises InvirtError if a success can't be written."""
    if outcome.exit_code == Unreachable.exit_code and not is_open():
        # It failed for want of the database, and the caller was told so: don't wait for it again.
        log.write("not audited: the database doesn't answer", log.ERROR, program=outcome.program)
        return
    entry = _Now.entry or Entry(Actor(outcome.caller.principal))
    ended = "failed" if outcome.exit_code else "succeeded"
    _write(entry, outcome.program, outcome.arguments, ended, outcome.message)


def _write(entry: Entry, program: str, words: tuple[str, ...], outcome: str, message: str) -> None:
    with transaction() as cursor:
        _Now.administrator = insert(cursor, entry, program, words, outcome, message)


def insert(
    cursor: Cursor, entry: Entry, program: str, words: tuple[str, ...], outcome: str, message: str
) -> bool | None:
    """Make the row; returns whether the database sees an administrator in it."""
    shown = " ".join(log.quoted(word if len(word) <= LONGEST else word[:LONGEST] + "...") for word in words)
    values = (entry.actor.principal, entry.actor.via, program, shown[:LONGEST], entry.machine_name)
    said = log.one_line(message)[:LONGEST]
    whence = entry.actor.whence or _address()
    cursor.execute(INSERT, (*values, outcome, said, _Now.administrator, whence))
    seen: bool | None = cursor.fetchone().administrator
    return seen


def _address() -> str | None:
    """From where the command came, as remctld says it."""
    return log.one_line(os.environ.get("REMOTE_ADDR", ""))[:100] or None
