"""Hosts are emptied, or upgraded, one after the other: by rows, which a service works on.

A row says which step a host is at.  Each step may be done again, so who is killed at any moment
goes on where it was; the first that fails stops all that was begun with it, until somebody says
the same again.  No guest is stopped as a way out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from invirt.base import log
from invirt.base.errors import BadInput, Busy, CommandFailed, InvirtError, NotFound
from invirt.database.connection import Connection, transaction
from invirt.remote import clock, drain, rejoin, upgrades
from invirt.remote.actor import Actor
from invirt.remote.hosts import Hosts
from invirt.remote.operations.engine import change
from invirt.remote.operations.model import Say
from invirt.remote.rows import Cursor

STEPS = {"drain": ("drain",), "update": ("fetch", "drain", "install", "reboot", "check", "rejoin")}
WORDS = {
    "wait": "waits for its turn",
    "fetch": "fetches packages",
    "drain": "is emptied",
    "install": "installs packages",
    "reboot": "reboots",
    "check": "is checked",
    "rejoin": "comes back into service",
    "done": "is done",
}
ME = os.uname().nodename
SETTLE = 180.0  # seconds that a host's services may take after its boot
AGAIN = 5.0  # seconds between two looks at them
NAMED = 3  # machines that can't move, and findings, that are named
LETTERS = 1000  # of a line in the database
HELD = 120  # seconds for which a server has a row: a silent one loses it; two at once do no harm

OPEN = """
SELECT h.host_id, h.name::text, u.failed FROM upkeep u JOIN hosts h USING (host_id)
WHERE u.kind = %s AND u.step <> 'done' ORDER BY h.name
"""
HOSTS = "SELECT host_id, name::text, enabled, lost_at IS NOT NULL AS lost FROM hosts ORDER BY name"
BEGUN = """
INSERT INTO upkeep (host_id, kind, reboot, principal) SELECT unnest(%s), %s, %s, %s
ON CONFLICT (host_id) DO UPDATE SET kind = excluded.kind, reboot = excluded.reboot, step = 'wait',
    boot = NULL, told = '', failed = NULL, todo = '', principal = excluded.principal,
    begun_at = now(), step_at = now()
"""
AGREED = """
UPDATE upkeep SET failed = NULL, todo = '' WHERE failed IS NOT NULL AND begun_at IN
    (SELECT begun_at FROM upkeep WHERE kind = %s AND step <> 'done')
"""
NEXT = """
SELECT u.*, u.holder <> %s AND u.held_until > now() AS taken,
    h.name::text, h.hostname::text, h.enabled FROM upkeep u JOIN hosts h USING (host_id)
WHERE u.step <> 'done' AND NOT EXISTS (SELECT FROM upkeep o WHERE o.begun_at = u.begun_at
    AND o.failed IS NOT NULL)
ORDER BY u.begun_at, u.step = 'wait', h.name LIMIT 1
"""
WRITTEN = """
UPDATE upkeep SET {}, holder = %s, held_until = now() + %s * interval '1 s'
WHERE host_id = %s AND begun_at = %s AND step <> 'done' AND coalesce(holder = %s OR held_until < now(), true)
"""
SHOWN = """
SELECT h.name::text AS host, u.kind, u.step, u.told::text, u.failed::text, u.todo::text
FROM upkeep u JOIN hosts h USING (host_id)
WHERE u.kind = %s AND u.begun_at = (SELECT max(begun_at) FROM upkeep WHERE kind = %s) ORDER BY h.name
"""


class Stopped(Exception):
    """Somebody has ended what was under way, or is at it."""


def begin(connection: Connection, kind: str, names: Sequence[str], reboot: str, principal: str) -> None:
    """Have these hosts emptied (drain) or upgraded (update), all that are in service where none is named.

    What was begun before and has not come to its end is gone on with instead, and raises Busy if
    another host is named.  Raises NotFound, and BadInput where there is none.
    """
    change(connection, lambda cursor: _begin(cursor, kind, names, reboot, principal))


def _begin(cursor: Cursor, kind: str, names: Sequence[str], reboot: str, principal: str) -> None:
    cursor.execute("LOCK TABLE upkeep IN SHARE ROW EXCLUSIVE MODE")
    cursor.execute(OPEN, (kind,))
    left = [row.name for row in cursor.fetchall()]
    if left and set(names) <= set(left):
        cursor.execute(AGREED, (kind,))
        return
    if left:
        raise Busy(
            f"the {kind} of {', '.join(left)} was begun, and has not come to its end",
            hint=f"To go on with it: admin host {kind} {left[0]}. To end it: admin host rejoin {left[0]}",
        )
    cursor.execute(HOSTS)
    hosts = cursor.fetchall()
    if unknown := set(names) - {host.name for host in hosts}:
        raise NotFound(f"there is no host {min(unknown)}", hint="admin host list shows all.")
    if lost := [host.name for host in hosts if host.lost and host.name in names]:
        raise BadInput(f"{lost[0]} was lost", hint=f"Once it is back: admin host rejoin {lost[0]}")
    chosen = [host.host_id for host in hosts if host.name in names or (not names and host.enabled)]
    if not chosen:
        raise BadInput("no host is in service", hint="admin host list shows all; name the one that is meant.")
    cursor.execute(BEGUN, (chosen, kind, reboot, principal))


def forget(connection: Connection, name: str) -> None:
    """The host is back in service: nothing more is done to it."""
    change(connection, lambda cursor: cursor.execute(
        "UPDATE upkeep SET step = 'done', told = 'somebody had it rejoin' WHERE step <> 'done' AND host_id ="
        " (SELECT host_id FROM hosts WHERE name = %s OR hostname = %s)", (name, name)))  # fmt: skip


def rows(connection: Connection, kind: str) -> list[dict[str, Any]]:
    """A record for each host of those that were begun last: its step, how it goes, why it failed."""
    with transaction(connection) as cursor:
        cursor.execute(SHOWN, (kind, kind))
        return [dict(row._asdict()) for row in cursor.fetchall()]


def turn(connection: Connection, hosts: Hosts, say: Say) -> None:
    """Do what there is to do, to its end, unless another server is at it.  say: is told of what fails."""
    while (row := _next(connection)) is not None and not row.taken:
        try:
            _Host(connection, hosts, row).work()
        except Stopped:
            continue
        except _Failed as failed:
            say(f"{row.kind} of {row.name}: {failed}")


def _next(connection: Connection) -> Any:
    with transaction(connection) as cursor:
        cursor.execute(NEXT, (ME,))
        return cursor.fetchone()


class _Failed(Exception):
    """A step has, and that is written down."""


class _Host:
    """One of them, and its row as it stood."""

    def __init__(self, connection: Connection, hosts: Hosts, row: Any) -> None:
        self.connection, self.hosts, self.row = connection, hosts, row
        self.boot: str | None = row.boot

    def work(self) -> None:
        """Do the steps that are left; raises _Failed, or Stopped."""
        steps = STEPS[self.row.kind]
        doing: dict[str, Callable[[], object]] = {
            "fetch": self.fetch,
            "drain": self.drain,
            "install": partial(upgrades.work, self.hosts, self.row.hostname, "install", self.say),
            "reboot": self.reboot,
            "check": partial(self.settled, self.check),
            "rejoin": partial(self.settled, self.rejoin),
        }
        ended = "it is empty" if self.row.kind == "drain" else "it is upgraded, and in service again"
        for step in steps[steps.index(self.row.step) if self.row.step in steps else 0 :]:
            self.write("step = %s, told = '', step_at = now()", step)
            try:
                enough = doing[step]()
            except InvirtError as error:
                self.fail(step, error)
            if step == "fetch" and enough:
                ended = "there was nothing to do"
                break
        self.write("step = 'done', told = %s, step_at = now()", ended)

    def write(self, what: str, *values: object) -> None:
        """Change the row; raises Stopped if it is another one by now, or another's."""

        def work(cursor: Cursor) -> None:
            cursor.execute(WRITTEN.format(what), (*values, ME, HELD, self.row.host_id, self.row.begun_at, ME))
            if cursor.rowcount == 0:
                raise Stopped

        change(self.connection, work)

    def say(self, words: str) -> None:
        """How it goes."""
        self.write("told = %s", log.one_line(words)[:LETTERS])

    def fail(self, step: str, error: InvirtError) -> None:
        """Write down why, and what to do; raises _Failed, or Unreachable where the database is gone."""
        again = f"Then go on: admin host {self.row.kind} {self.row.name}"
        todo = " ".join([*(error.hint or "").splitlines(), again])
        self.write(
            "failed = %s, todo = %s", log.one_line(error.message)[:LETTERS], log.one_line(todo)[:LETTERS]
        )
        raise _Failed(f"{step}: {error.message}") from error

    def fetch(self) -> bool:
        """Whether there is nothing to do to it."""
        stands = upgrades.boot(self.hosts, self.row.hostname)
        if self.boot is None:
            self.boot = stands.which
            self.write("boot = %s", self.boot)
        found = upgrades.work(self.hosts, self.row.hostname, "fetch", self.say)
        return bool(self.row.enabled and found == 0 and not self.wants_reboot(stands))

    def wants_reboot(self, stands: upgrades.Boot) -> bool:
        """Whether it is to be booted anew, and has not been since this was begun."""
        wanted = {"always": True, "needed": bool(stands.why), "never": False}[self.row.reboot]
        return wanted and stands.which == self.boot

    def drain(self) -> None:
        """Raises Busy where machines are left, which go on."""
        actor = Actor(self.row.principal, administrator=True)
        found = drain.drain(self.connection, self.hosts, self.row.name, actor, self.say)
        left = [row for row in found if not row["host"]]
        if left:
            some = "; ".join("{machine}: {what}".format(**row) for row in left[:NAMED])
            raise Busy(
                f"{len(left)} of {len(found)} machines can't move away ({some})",
                hint="They go on there. Make room for them, or have their owners shut them down.",
            )

    def reboot(self) -> None:
        upgrades.reboot(self.hosts, self.row.hostname, self.wants_reboot, self.say)

    def check(self) -> None:
        """Raises CommandFailed with what invirt-check found there."""
        found = upgrades.work(self.hosts, self.row.hostname, "check", self.say)
        if found is None:
            self.say("there is no invirt-check (of invirt-setup): its answers and signs of life have to do")
        if found:
            raise CommandFailed(f"{self.row.name} is not well: {'; '.join(found[:NAMED])}",
                                hint=f"invirt-check on {self.row.name} says what to do.")  # fmt: skip

    def rejoin(self) -> None:
        rejoin.rejoin(self.connection, self.hosts, self.row.name, self.say)

    def settled(self, look: Callable[[], object]) -> None:
        """Look until all is well there; raises why it isn't after a while."""
        deadline = clock.current.monotonic() + SETTLE
        while True:
            try:
                look()
                return
            except InvirtError as error:
                if clock.current.monotonic() > deadline:
                    raise
                self.say(error.message)
            clock.current.sleep(AGAIN)
