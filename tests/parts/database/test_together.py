"""Transactions side by side: never over a limit, and never behind the counter."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ

from invirt.base.errors import InvirtError
from invirt.database.connection import Connection, connect, transaction
from tests.parts.database.rows import machine, site
from tests.parts.postgres import Database

DEADLINE = 60  # seconds


def together(*works: Callable[[], object]) -> list[object]:
    """Run all works at the same moment; their results, or the errors they raised."""
    results: list[object] = [None] * len(works)
    start = threading.Barrier(len(works))

    def do(number: int, work: Callable[[], object]) -> None:
        start.wait(DEADLINE)
        try:
            results[number] = work()
        except InvirtError as error:
            results[number] = error

    threads = [threading.Thread(target=do, args=pair, daemon=True) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    return results


def doing(query: str, *values: object, repeatable: bool = False) -> Callable[[], object]:
    """A work: query in a transaction of its own."""

    def work() -> None:
        with closing(connect()) as opened:
            if repeatable:
                opened.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ)
            with transaction(opened) as cursor:
                cursor.execute("SELECT count(*) FROM machines")  # a repeatable read's snapshot starts here
                cursor.execute(query, values)

    return work


MACHINE = (
    "INSERT INTO machines (name, owner_id, type_id, memory)"
    " SELECT %s, owner_id, type_id, 100 FROM owners, types"
)
PLACE = """
INSERT INTO reservations (machine_id, host_id, memory)
    SELECT machine_id, h.host_id, m.memory FROM machines m, hosts h WHERE h.name = 'host1' AND m.name = %s
"""
# The rule on hosts' memory, counting without its lock, and slowly.
HOST_LOCK = "UPDATE hosts h SET memory = h.memory WHERE h.host_id = for_host RETURNING h.* INTO host;"
NO_LOCK = "SELECT * INTO host FROM hosts h WHERE h.host_id = for_host;"
COUNTED = "IF used >"
DISK = "INSERT INTO disks (machine_id, name, size) SELECT machine_id, %s, 10 FROM machines"


@pytest.mark.parametrize("repeatable", [False, True])
def test_quota_is_never_exceeded(database: Database, repeatable: bool) -> None:
    """Eight machines at once where three fit."""
    site(database, memory=350)
    results = together(*(doing(MACHINE, f"m{n}", repeatable=repeatable) for n in range(8)))
    assert database.execute("SELECT sum(memory) FROM machines") <= [(300,)]
    if not repeatable:  # which fails instead, and is to be run again
        assert results.count(None) == 3


def test_disk_quota_is_never_exceeded(database: Database) -> None:
    """Eight disks at once where three fit."""
    site(database, disk=35)
    machine(database, "remus")
    together(*(doing(DISK, f"hd{letter}") for letter in "abcdefgh"))
    assert database.execute("SELECT sum(size) FROM disks") == [(30,)]


@pytest.mark.parametrize("repeatable", [False, True])
def test_host_memory_is_never_exceeded(database: Database, repeatable: bool) -> None:
    """Eight boots at once where three fit."""
    site(database)
    database.execute("UPDATE hosts SET memory = 399")
    for number in range(8):
        machine(database, f"m{number}", memory=100)
    together(*(doing(PLACE, f"m{n}", repeatable=repeatable) for n in range(8)))
    placed = database.execute("SELECT count(*) FROM reservations")
    assert placed == [(3,)] if not repeatable else placed <= [(3,)]
    assert database.execute("SELECT count(*) FROM machines WHERE host_id IS NOT NULL") == placed


def test_without_its_lock_a_host_is_overbooked(database: Database) -> None:
    """Which shows that the test above could fail."""
    site(database)
    database.execute("UPDATE hosts SET memory = 399")
    for number in range(8):
        machine(database, f"m{number}", memory=100)
    [(rule,)] = database.execute("SELECT pg_get_functiondef('check_host_memory(integer)'::regprocedure)")
    assert HOST_LOCK in str(rule)
    slow = str(rule).replace(HOST_LOCK, NO_LOCK).replace(COUNTED, f"PERFORM pg_sleep(0.2); {COUNTED}", 1)
    database.execute(slow)
    together(*(doing(PLACE, f"m{n}") for n in range(8)))
    assert database.execute("SELECT count(*) FROM reservations") > [(3,)]


def test_a_name_has_one_meaning(database: Database) -> None:
    """A machine, a host and a reserved name at once: one of them gets it."""
    site(database)
    for number in range(5):
        name = f"n{number}"
        together(
            doing(MACHINE, name),
            doing("INSERT INTO hosts (name, hostname, memory) VALUES (%s, %s, 1)", name, f"{name}.x"),
            doing("INSERT INTO reserved_names VALUES (%s)", name),
        )
        ((machines, others),) = database.execute(
            "SELECT (SELECT count(*) FROM machines WHERE name = %s),"
            " (SELECT count(*) FROM hosts WHERE name = %s)"
            " + (SELECT count(*) FROM reserved_names WHERE name = %s)",
            (name, name, name),
        )
        assert (machines, others) in ((1, 0), (0, 2))


def test_a_range_in_use_stays(database: Database) -> None:
    """An address taken while its range is being removed: one of them fails."""
    site(database)
    machine(database, "remus")
    nic = (
        "INSERT INTO nics (machine_id, mac_addr, ip)"
        " SELECT machine_id, '02:00:00:00:00:01', '10.5.0.10' FROM machines"
    )
    for _ in range(5):
        together(doing(nic), doing("DELETE FROM address_ranges"))
        left = database.execute("SELECT (SELECT count(*) FROM nics), (SELECT count(*) FROM address_ranges)")
        assert left in ([(1, 1)], [(0, 0)])
        database.execute("DELETE FROM nics")
        database.execute("DELETE FROM address_ranges")
        database.execute(
            "INSERT INTO address_ranges (first, last, prefix, gateway)"
            " VALUES ('10.5.0.10', '10.5.0.19', 24, '10.5.0.1')"
        )


COUNTER = "SELECT value FROM counters WHERE name = 'access'"
ROWS = """
    SELECT coalesce(string_agg(m.name || ':' || o.name || ':' || coalesce(a.principal, '')
        || ':' || coalesce(b.principal, ''), ',' ORDER BY m.name, a.principal, b.principal), '')
    FROM machines m JOIN owners o USING (owner_id)
    LEFT JOIN machine_access a USING (machine_id) LEFT JOIN members b USING (owner_id)
"""


def _change(database: Database, chance: random.Random) -> None:
    """One of the changes that say who may use what, committed."""
    number = chance.randrange(4)
    principal = f"p{chance.randrange(3)}@X"
    changes: list[tuple[str, tuple[object, ...]]] = [
        (MACHINE, (f"m{number}",)),
        ("DELETE FROM machines WHERE name = %s", (f"m{number}",)),
        ("UPDATE machines SET name = %s WHERE name = %s", (f"r{number}", f"m{number}")),
        ("INSERT INTO machine_access SELECT machine_id, %s FROM machines LIMIT 1", (principal,)),
        ("DELETE FROM machine_access WHERE principal = %s", (principal,)),
        ("INSERT INTO members SELECT owner_id, %s FROM owners", (principal,)),
        ("DELETE FROM members WHERE principal = %s", (principal,)),
        ("UPDATE owners SET name = %s", (f"o{number}",)),
    ]
    try:
        with transaction() as cursor:
            for query, values in chance.sample(changes, chance.randrange(1, 3)):
                cursor.execute(query, values)
    except InvirtError:
        pass  # there already: nothing has changed


@pytest.mark.parametrize("seed", range(3))
def test_the_counter_is_never_stale(database: Database, seed: int) -> None:
    """Rows read after a value of the counter, and kept under it, are never older than it.

    Writers change who may use what; readers keep snapshots as remconffs does
    and, on meeting the same counter again, would serve what they kept.
    """
    site(database, machines=100)
    ended = threading.Event()
    wrong: list[str] = []

    def write(number: int) -> Callable[[], None]:
        def work() -> None:
            chance = random.Random(seed * 10 + number)
            for _ in range(40):
                _change(database, chance)

        return work

    def read() -> None:
        with closing(connect()) as opened:
            while not ended.is_set():
                with transaction(opened) as cursor:
                    cursor.execute(COUNTER)
                    counted = cursor.fetchone()
                    cursor.execute(ROWS)
                    kept = cursor.fetchone()
                with _one_moment(opened) as cursor:
                    cursor.execute(COUNTER)
                    again = cursor.fetchone()
                    cursor.execute(ROWS)
                    if again == counted and cursor.fetchone() != kept:
                        wrong.append(f"{counted}: {kept}")

    def writers() -> None:
        try:
            together(*(write(number) for number in range(3)))
        finally:
            ended.set()

    together(writers, read, read)
    assert wrong == []
    assert database.execute(COUNTER) > [(20,)]


@contextmanager
def _one_moment(opened: Connection) -> Iterator[Any]:
    """A transaction that sees the database as it is at one moment."""
    with transaction(opened) as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield cursor


ADVANCING = [
    MACHINE.replace("%s", "'silvia'"),
    "DELETE FROM machines",
    "UPDATE machines SET name = 'romulus'",
    "UPDATE owners SET name = 'bob'",
    "INSERT INTO members SELECT owner_id, 'bob@X' FROM owners",
    "DELETE FROM members",
    "INSERT INTO machine_access SELECT machine_id, 'carol@X' FROM machines",
    "UPDATE machine_access SET principal = 'dave@X'",
]


@pytest.mark.parametrize("query", ADVANCING)
def test_what_advances_the_counter(database: Database, query: str) -> None:
    """Once a transaction, and only if it is committed."""
    site(database)
    machine(database, "remus")
    database.execute("INSERT INTO machine_access SELECT machine_id, 'alice@X' FROM machines")
    ((before,),) = database.execute(COUNTER)
    with closing(connect()) as opened:
        with opened.cursor() as cursor:
            cursor.execute(query)
            opened.rollback()
        assert database.execute(COUNTER) == [(before,)]
        with transaction(opened) as cursor:
            cursor.execute(query)
            cursor.execute("INSERT INTO members SELECT owner_id, 'eve@X' FROM owners")
    assert isinstance(before, int)
    assert database.execute(COUNTER) == [(before + 1,)]


def test_what_leaves_the_counter_alone(database: Database) -> None:
    """A resize or a boot changes nobody's access."""
    site(database)
    machine(database, "remus")
    before = database.execute(COUNTER)
    database.execute("UPDATE machines SET memory = 64, host_id = (SELECT host_id FROM hosts LIMIT 1)")
    database.execute("UPDATE owners SET memory = 64")
    assert database.execute(COUNTER) == before


def test_a_savepoint_does_not_lose_the_counter(database: Database) -> None:
    """Even where constraints were made immediate inside one that was rolled back."""
    site(database)
    ((before,),) = database.execute(COUNTER)
    with transaction() as cursor:
        cursor.execute("SAVEPOINT s")
        cursor.execute("INSERT INTO members SELECT owner_id, 'bob@X' FROM owners")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ROLLBACK TO s")
        cursor.execute("INSERT INTO members SELECT owner_id, 'eve@X' FROM owners")
    assert isinstance(before, int)
    assert database.execute(COUNTER) == [(before + 1,)]


def test_the_counter_is_locked_at_the_commit_only(database: Database) -> None:
    """A long transaction keeps no other one waiting."""
    site(database)
    with transaction() as slow:
        slow.execute("INSERT INTO members SELECT owner_id, 'bob@X' FROM owners")
        with transaction() as quick:
            quick.execute("SET LOCAL lock_timeout = '2s'")
            quick.execute("INSERT INTO owners (name, memory, disk, machines) VALUES ('eve', 1, 1, 1)")
