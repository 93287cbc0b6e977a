"""Compares the database with the hosts' guests and volumes.

What an operation is at work on, or was while the hosts were asked, is left
out: it is no difference, only a moment.  A guest that runs is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from invirt import config
from invirt.base.errors import InvirtError
from invirt.base.names import MachineName
from invirt.database.connection import Connection, transaction
from invirt.remote import expiry, operations
from invirt.remote.answers import ended, guests, trashed, volumes
from invirt.remote.hosts import Hosts
from invirt.remote.operations.admission import release
from invirt.remote.rows import Cursor
from invirt.remote.survey import Host, all_hosts, all_pools

MACHINES = """
SELECT m.machine_id, m.name, m.host_id, (SELECT max(operation_id) FROM operations o
    WHERE o.machine_id = m.machine_id) AS last_operation
FROM machines m
"""
DISKS = """
SELECT p.name::text AS pool, m.name, d.name AS disk, size
FROM disks d JOIN machines m USING (machine_id) JOIN pools p USING (pool_id)
"""
# The names that open operations, and those that were finished since a time, have to do with.
MOVING = """
WITH moving AS (SELECT machine_name, kind, arguments FROM operations
    WHERE finished_at IS NULL OR finished_at >= %s)
SELECT machine_name AS name FROM moving
UNION SELECT arguments->>'name' FROM moving WHERE kind = 'rename'
"""
UNDER_WAY = "SELECT operation_id FROM operations WHERE finished_at IS NULL OR finished_at >= %s"


Place = tuple[str, MachineName, str]  # of a volume: its pool, its machine, its disk


@dataclass(frozen=True)
class Machine:
    """A machine's row, and the number of the last operation on it."""

    machine_id: int
    name: MachineName
    host_id: int | None
    last_operation: int | None


@dataclass(frozen=True)
class Difference:
    """words: what is different.  remedy: what would be done about it; fix: does it, if anything may."""

    words: str
    remedy: str
    fix: Callable[[], None] | None = None


@dataclass
class Facts:
    """What the database and the hosts said; sizes in GiB; ended: why guests that are off there are."""

    machines: dict[MachineName, Machine] = field(default_factory=dict)
    disks: dict[Place, int] = field(default_factory=dict)
    hosts: tuple[Host, ...] = ()
    guests: dict[int, set[MachineName]] = field(default_factory=dict)
    ended: dict[int, dict[MachineName, str]] = field(default_factory=dict)
    pools: dict[str, str] = field(default_factory=dict)
    volumes: dict[Place, int] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)  # pools whose volumes some host has told
    strays: dict[expiry.Stray, int] = field(default_factory=dict)  # in hosts' trash, but in no row
    silent: dict[str, str] = field(default_factory=dict)
    moving: set[MachineName] = field(default_factory=set)
    stuck: list[str] = field(default_factory=list)


def gather(connection: Connection, hosts: Hosts, volumes: bool = True) -> Facts:
    """Ask the database, then the hosts, then the database again for what moved meanwhile."""
    facts = Facts()
    with transaction(connection) as cursor:
        began, facts.hosts, facts.pools = now(cursor), all_hosts(cursor), all_pools(cursor)
    _ask_hosts(facts, hosts, volumes)
    with transaction(connection) as cursor:
        _ask_database(cursor, facts, began)
    return facts


def now(cursor: Cursor) -> datetime:
    """By the database's clock, not when the transaction began."""
    cursor.execute("SELECT clock_timestamp() AS now")
    found: datetime = cursor.fetchone().now
    return found


def _ask_database(cursor: Cursor, facts: Facts, began: datetime) -> None:
    cursor.execute(MACHINES)
    facts.machines = {row.name: Machine(*row) for row in cursor.fetchall()}
    cursor.execute(DISKS)
    facts.disks = {(row.pool, row.name, row.disk): row.size for row in cursor.fetchall()}
    cursor.execute(MOVING, (began,))
    facts.moving = {row.name for row in cursor.fetchall()}
    cursor.execute(UNDER_WAY, (began,))
    moving = {row.operation_id for row in cursor.fetchall()}
    for stray in expiry.known(cursor) | {one for one in facts.strays if one[2] in moving}:
        facts.strays.pop(stray, None)
    found = operations.store.select(cursor, "state = 'stuck'")
    facts.stuck = [f"{operation.title}: {operation.error}" for operation in found]


def _ask_hosts(facts: Facts, hosts: Hosts, volumes: bool) -> None:
    """Guests of every host, and the volumes of each pool as one host that answers sees them."""
    names = [host.hostname for host in facts.hosts]
    answers = hosts.ask(names, "domain", "list", timeout=config.remote.host_timeout)
    for host in facts.hosts:
        try:
            facts.guests[host.host_id] = guests(host.hostname, answers[host.hostname])
            facts.ended[host.host_id] = ended(host.hostname, answers[host.hostname])
        except InvirtError as error:
            if host.lost:  # it is certain that nothing runs there
                facts.guests[host.host_id], facts.ended[host.host_id] = set(), {}
            else:
                facts.silent[host.name] = error.message
    if not volumes:
        return
    for pool in facts.pools:
        for host in facts.hosts:
            if pool in facts.listed or pool not in host.pools or host.lost:
                continue
            if host.host_id in facts.guests:
                _ask_for_volumes(facts, pool, host, hosts)


def _ask_for_volumes(facts: Facts, pool: str, host: Host, hosts: Hosts) -> None:
    """All volumes of a pool, those in the trash apart; none if this host can't say."""
    # One of the version before knows no pool but the first.
    where = () if pool == next(iter(facts.pools)) else ("--pool", pool)
    with suppress(InvirtError):
        answer = hosts.call(host.hostname, "volume", "list", *where, timeout=config.remote.work_timeout)
        found, gone = volumes(host.hostname, answer), trashed(host.hostname, answer)
        facts.volumes |= {(pool, name, disk): size for (name, disk), size in found.items()}
        facts.strays |= {(*stray, pool): size for stray, size in gone.items()}
        facts.listed.add(pool)


def compare(facts: Facts, connection: Connection, hosts: Hosts) -> Iterable[Difference]:
    """Every difference, with what may be done about it."""
    for name, why in facts.silent.items():
        yield Difference(f"host {name} does not answer: {why}", "nothing is known of its guests")
    for title in facts.stuck:
        yield Difference(f"{title}: stuck", "see invirt-operations list --stuck")
    yield from _guests(facts)
    yield from _reservations(facts, connection)
    yield from _disks(facts, hosts)
    yield from _strays(facts, connection)


def _guests(facts: Facts) -> Iterable[Difference]:
    names = {host.host_id: host.name for host in facts.hosts}
    for guest in sorted(set().union(*facts.guests.values()) - facts.moving):
        places = [host_id for host_id, running in facts.guests.items() if guest in running]
        where = " and ".join(names[host_id] for host_id in places)
        machine = facts.machines.get(guest)
        if len(places) > 1:
            yield Difference(
                f"ALARM: {guest} runs twice, on {where}", "left running: end one of them at once, by hand"
            )
        elif machine is None:
            yield Difference(f"guest {guest} runs on {where}, but there is no such machine", "left running")
        elif machine.host_id != places[0]:
            home = names[machine.host_id] if machine.host_id else "off"
            yield Difference(f"{guest} runs on {where}, but the database has it {home}", "left running")


def _reservations(facts: Facts, connection: Connection) -> Iterable[Difference]:
    names = {host.host_id: host.name for host in facts.hosts}
    for machine in facts.machines.values():
        home = machine.host_id
        if home is None or machine.name in facts.moving or home not in facts.guests:
            continue
        if not any(machine.name in running for running in facts.guests.values()):
            yield Difference(
                f"{machine.name} is off, but its memory is reserved on {names[home]}",
                "give the memory back",
                lambda machine=machine: release_if_same(connection, machine),  # type: ignore[misc]
            )


def release_if_same(connection: Connection, machine: Machine) -> None:
    """Give the memory of a guest that is off back, unless an operation came in between."""
    with transaction(connection) as cursor:
        if _unchanged(cursor, machine):
            release(cursor, machine.machine_id)


def _unchanged(cursor: Cursor, machine: Machine) -> bool:
    cursor.execute(f"{MACHINES} WHERE m.machine_id = %s FOR UPDATE OF m", (machine.machine_id,))
    row = cursor.fetchone()
    return row is not None and Machine(*row) == machine


def _disks(facts: Facts, hosts: Hosts) -> Iterable[Difference]:
    for pool in sorted(facts.pools.keys() - facts.listed):
        yield Difference(f"no host could list the volumes of pool {pool}", "nothing is known of its disks")
    for (pool, name, disk), size in sorted(facts.volumes.items()):
        wanted = facts.disks.get((pool, name, disk))
        if name in facts.moving:
            continue
        if wanted is None:
            yield _without_machine(facts, hosts, name, {"disk": disk, "size": size, "pool": pool})
        elif wanted != size:
            yield Difference(
                f"disk {disk} of {name} has {size} GiB, the database says {wanted}", "to be looked at"
            )
    for pool, name, disk in sorted(facts.disks.keys() - facts.volumes.keys()):
        if name not in facts.moving and pool in facts.listed:
            yield Difference(f"ALARM: disk {disk} of {name} has no volume", "look into the trash and backups")


def _without_machine(facts: Facts, hosts: Hosts, name: MachineName, wants: dict[str, Any]) -> Difference:
    """A volume that the database doesn't know, as after a restore: it may be in use all the same."""
    words = "volume {disk} of {name} ({size} GiB) in pool {pool} belongs to no machine"
    words = words.format(name=name, **wants)
    if any(name in running for running in facts.guests.values()):
        return Difference(words, "left: its guest runs")
    if facts.silent:
        return Difference(words, f"left: its guest may run on {' or '.join(facts.silent)}")
    return Difference(words, "move it to the trash", lambda: _trash(hosts, name, wants))


def _trash(hosts: Hosts, name: MachineName, wants: dict[str, Any]) -> None:
    operations.submit("volume-trash", expiry.administrator(), name, wants, hosts=hosts)


def _strays(facts: Facts, connection: Connection) -> Iterable[Difference]:
    for stray, size in sorted(facts.strays.items()):
        name, disk, operation, _ = stray
        yield Difference(
            f"volume {disk} of {name} ({size} GiB), removed by operation {operation}, is not in the list of"
            " what is in the trash",
            "enter it",
            lambda stray=stray, size=size: expiry.adopt(connection, stray, size),  # type: ignore[misc]
        )


def tidy_trash(connection: Connection, hosts: Hosts) -> Iterable[str]:
    """End what has come to its end, and enter what lies in hosts' trash unknown; yields what was done."""
    yield from expiry.end_old(connection, hosts)
    for difference in islice(_strays(gather(connection, hosts), connection), expiry.MOST):
        if difference.fix:
            difference.fix()
            yield f"{difference.words}: entered"


def release_off(connection: Connection, facts: Facts, kept: Collection[MachineName] = ()) -> list[str]:
    """Give back what is reserved for guests that their hosts say are off; returns what was done.

    kept: machines that are booted again, on whichever host.
    """
    done = []
    facts.moving |= set(kept)
    for difference in _reservations(facts, connection):
        if difference.fix:
            difference.fix()
            done.append(difference.words)
    return done
