"""Machines that are wanted on, but off: which of them are booted again, and which have been switched off.

Wanted on is what its owner last said, from `control NAME create` on.  A guest
that powered itself off has switched its machine off, as an owner does; one
whose process died, or whose host did, has not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from invirt import config
from invirt.base.names import MachineName
from invirt.database.connection import Connection, transaction
from invirt.remote.operations.admission import release
from invirt.remote.operations.model import Actor
from invirt.remote.reconcile import Facts, Machine
from invirt.remote.rows import Cursor

OFTEN, MINUTES = 3, 10  # so many boots in so many minutes, and no further one
AT_ONCE = 2  # boots that a host is given in one turn

WANTED = f"""
SELECT m.machine_id, m.name, m.host_id, m.autostart, m.memory,
    ARRAY(SELECT pool_id FROM disks d WHERE d.machine_id = m.machine_id) AS pools,
    ARRAY(SELECT r.host_id FROM kept_apart k JOIN reservations r ON r.machine_id = k.other_id
        WHERE k.machine_id = m.machine_id) AS barred,
    (SELECT max(operation_id) FROM operations o WHERE o.machine_id = m.machine_id) AS last_operation,
    (SELECT count(*) FROM operations o WHERE o.machine_id = m.machine_id AND o.kind = 'boot'
        AND o.principal = ANY(%(services)s) AND o.created_at > now() - interval '{MINUTES} minutes') AS boots,
    (SELECT o.error FROM operations o WHERE o.machine_id = m.machine_id
        ORDER BY operation_id DESC LIMIT 1) AS error
FROM machines m WHERE m.wanted_on AND (m.machine_id = %(machine)s OR %(machine)s IS NULL)
    AND NOT EXISTS (SELECT FROM operations o WHERE o.machine_id = m.machine_id
        AND o.state IN ('running', 'undoing', 'stuck'))
ORDER BY m.priority DESC, m.machine_id
"""
# Free: but for what is reserved for these machines themselves, which are off.
ROOM = """
SELECT h.host_id, ARRAY(SELECT pool_id FROM pool_sight s WHERE s.host_id = h.host_id) AS pools,
    h.memory - coalesce((SELECT sum(r.memory) FROM reservations r
        WHERE r.host_id = h.host_id AND r.machine_id <> ALL(%s)), 0)::integer AS free
FROM hosts h WHERE enabled
"""
OFF = "UPDATE machines SET wanted_on = false, why_off = %s WHERE machine_id = %s"


@dataclass
class Room:
    """MiB that are free on a host, and the pools that it sees."""

    host_id: int
    free: int
    pools: frozenset[int]


def actor() -> Actor:
    """Who boots machines again: the site's remote servers."""
    return Actor(config.remote_principals[0], administrator=True)


def to_boot(connection: Connection, facts: Facts, at_once: int | None = AT_ONCE) -> list[MachineName]:
    """The machines to be booted again now, by priority, then the oldest first; facts: what the hosts say.

    at_once: so many on one host, counted where there is most room for each; None: all.
    Those that are switched off, by their guests or because booting them again
    doesn't help, are written down as that.  One for which there is no room holds up nobody.
    """
    names: list[MachineName] = []
    begun: Counter[int] = Counter()
    waiting = list(_off(connection, facts))
    room = _room(connection, waiting, facts)
    for row in waiting:
        if why := _not_again(row, facts):
            _switch_off(connection, row, why)
        elif at_once is None:
            names.append(row.name)
        elif (host := _place(row, room)) and begun[host.host_id] < at_once:
            begun[host.host_id] += 1
            names.append(row.name)
    return names


def _room(connection: Connection, waiting: Iterable[Any], facts: Facts) -> list[Room]:
    """Of the hosts that answer."""
    with transaction(connection) as cursor:
        cursor.execute(ROOM, ([row.machine_id for row in waiting],))
        return [
            Room(row.host_id, row.free, frozenset(row.pools))
            for row in cursor.fetchall()
            if row.host_id in facts.guests
        ]


def _place(row: Any, room: Iterable[Room]) -> Room | None:
    """Where there is most room beside those before it, whose boots are yet to come; it is counted then.

    The admission decides; this is so that a lower priority doesn't take what a higher one is about to.
    """
    able = [
        host
        for host in room
        if host.free >= row.memory and host.pools.issuperset(row.pools) and host.host_id not in row.barred
    ]
    best = max(able, key=lambda host: host.free, default=None)
    if best:
        best.free -= row.memory
    return best


def _rows(cursor: Cursor, machine_id: int | None = None) -> list[Any]:
    services = list(config.remote_principals)
    cursor.execute(WANTED, {"services": services, "machine": machine_id})
    found: list[Any] = cursor.fetchall()
    return found


def _off(connection: Connection, facts: Facts) -> Iterator[Any]:
    """The rows of those that are known to run nowhere; of a silent host nothing is known."""
    with transaction(connection) as cursor:
        rows = _rows(cursor)
    for row in rows:
        then = Machine(row.machine_id, row.name, row.host_id, row.last_operation)
        if row.name in facts.moving or facts.machines.get(row.name) != then:
            continue  # the hosts may have been asked before
        silent = row.host_id is not None and row.host_id not in facts.guests
        if not (silent or any(row.name in running for running in facts.guests.values())):
            yield row


def _not_again(row: Any, facts: Facts) -> str:
    """Why the machine is not booted again; "" if it is."""
    if row.host_id is not None and facts.ended.get(row.host_id, {}).get(row.name) != "crash":
        return "its guest powered off"
    if not row.autostart:
        return "its guest or host crashed; it has no autostart"
    if row.boots >= OFTEN:
        last = f"; the last boot failed: {row.error}" if row.error else ""
        return f"it was booted again {OFTEN} times within {MINUTES} minutes, and was off each time{last}"[
            :255
        ]
    return ""


def _switch_off(connection: Connection, row: Any, why: str) -> None:
    """Unless something has been done to the machine since; what is reserved for it is given back."""
    with transaction(connection) as cursor:
        cursor.execute("SELECT FROM machines WHERE machine_id = %s FOR UPDATE", (row.machine_id,))
        if list(_rows(cursor, row.machine_id)) == [row]:
            cursor.execute(OFF, (why, row.machine_id))
            release(cursor, row.machine_id)
