"""A host is emptied: nothing new comes, and what runs there moves away, so many at a time.

No guest is stopped as a way out.  Cut off at any moment, it is run again: moves that were
begun go on by themselves, and are waited for.
"""

from __future__ import annotations

from typing import Any

from invirt import config
from invirt.base.errors import InvirtError
from invirt.base.names import MachineName
from invirt.database.connection import Connection, transaction
from invirt.remote import clock, lost, operations
from invirt.remote.actor import Actor
from invirt.remote.hosts import Hosts
from invirt.remote.operations.engine import change
from invirt.remote.operations.model import Say
from invirt.remote.survey import Host

LOOK = 0.3  # seconds between two looks at what is under way
CLOSED = "UPDATE hosts SET enabled = false WHERE host_id = %s"
LARGEST_FIRST = "SELECT name::text FROM machines WHERE name = ANY(%s) ORDER BY memory DESC, name"
UNDER_WAY = """
SELECT operation_id, machine_name FROM operations
WHERE kind IN ('migrate', 'cold-migrate') AND state IN ('running', 'undoing') AND machine_name = ANY(%s)
"""
ENDED = """
SELECT o.state, o.error, h.name AS host FROM operations o LEFT JOIN machines m USING (machine_id)
    LEFT JOIN hosts h ON h.host_id = m.host_id WHERE o.operation_id = %s
"""
OPEN = ("running", "undoing")


def drain(connection: Connection, hosts: Hosts, name: str, actor: Actor, say: Say) -> list[dict[str, Any]]:
    """Empty a host.  Returns a record for each machine that ran there: where it is now, "" for one that
    is left, and why.  Raises Unreachable, once nothing new comes there, for a host that doesn't answer."""
    host = lost.find(connection, name)
    change(connection, lambda cursor: cursor.execute(CLOSED, (host.host_id,)))
    say(f"{host.name} is given nothing any more")
    told = _move_away(connection, hosts, host, actor, say)
    left = lost.running(hosts, host)
    for machine in left - told.keys():
        told[machine] = "it came while the others went: run this again"
    return [
        {"machine": machine, "host": "" if machine in left else _home(connection, machine), "what": what}
        for machine, what in told.items()
    ]


def _move_away(
    connection: Connection, hosts: Hosts, host: Host, actor: Actor, say: Say
) -> dict[MachineName, str]:
    """What came of each machine; the largest go first, while there is most room."""
    running = lost.running(hosts, host)
    with transaction(connection) as cursor:
        cursor.execute(UNDER_WAY, (sorted(running),))
        moving = {row.operation_id: MachineName(row.machine_name) for row in cursor.fetchall()}
        cursor.execute(LARGEST_FIRST, (sorted(running),))
        waiting = [MachineName(row.name) for row in cursor.fetchall()]
    waiting = [machine for machine in waiting if machine not in moving.values()]
    told = dict.fromkeys(sorted(running), "there is no such machine: invirt-reconcile")
    while waiting or moving:
        while waiting and len(moving) < config.remote.drain_at_once:
            machine = waiting.pop(0)
            try:
                moving[operations.begin("migrate", actor, machine, hosts=hosts, connection=connection)] = (
                    machine
                )
            except InvirtError as error:
                told[machine] = f"{error}".replace("\n", "; ")
                say(f"{machine} stays: {told[machine]}")
        for number in list(moving):
            if what := _ended(connection, number):
                machine = moving.pop(number)
                told[machine] = what
                say(f"{machine}: {what}")
        if moving:
            clock.current.sleep(LOOK)
    return told


def _ended(connection: Connection, number: int) -> str | None:
    """What came of an operation; None while it goes on."""
    with transaction(connection) as cursor:
        cursor.execute(ENDED, (number,))
        row = cursor.fetchone()
    if row.state in OPEN:
        return None
    if row.state == "done":
        return f"it has moved to {row.host}"
    return f"it stays ({row.state}): {row.error}"


def _home(connection: Connection, machine: MachineName) -> str:
    with transaction(connection) as cursor:
        cursor.execute(
            "SELECT h.name FROM machines JOIN hosts h USING (host_id) WHERE machines.name = %s", (machine,)
        )
        row = cursor.fetchone()
    return row.name if row else "off"
