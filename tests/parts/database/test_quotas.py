"""Quotas are rows: what is counted is what is there, whatever is done in any order; nobody gets more."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.parts.database.rows import site
from tests.parts.postgres import Database

RESOURCES = ("machines", "running", "memory", "disk", "cpus", "addresses")
MOST = {"machines": 3, "running": 2, "memory": 900, "disk": 9, "cpus": 5, "addresses": 3}
# The owner is locked first, as remote does it.
MACHINE = """
WITH wanted (name, memory, cpus, owner) AS (VALUES (%s, %s, %s, %s)),
    o AS (SELECT owner_id FROM owners WHERE name = (SELECT owner FROM wanted) FOR NO KEY UPDATE)
INSERT INTO machines (name, owner_id, type_id, memory, cpus)
    SELECT wanted.name, o.owner_id, type_id, wanted.memory, wanted.cpus FROM wanted, o, types
"""
DISK = "INSERT INTO disks (machine_id, name, size) SELECT machine_id, %s, %s FROM machines WHERE name = %s"
NIC = """
INSERT INTO nics (machine_id, mac_addr, ip) SELECT machine_id, %s, %s FROM machines WHERE name = %s
"""
BOOT = """
INSERT INTO reservations (machine_id, host_id, memory)
    SELECT m.machine_id, h.host_id, m.memory FROM machines m, hosts h
    WHERE m.name = %s AND NOT EXISTS (SELECT FROM reservations r WHERE r.machine_id = m.machine_id) LIMIT 1
"""
TRASH = """
WITH it AS (SELECT d.disk_id, d.name, d.size, m.owner_id FROM disks d JOIN machines m USING (machine_id)
        WHERE m.name = %s ORDER BY d.name DESC LIMIT 1),
    gone AS (DELETE FROM disks WHERE disk_id IN (SELECT disk_id FROM it)),
    bin AS (INSERT INTO trash (name, owner_id, ends_at) SELECT 'x', owner_id, now() + interval '1 day' FROM it
        RETURNING trash_id)
INSERT INTO trash_disks (trash_id, name, size, operation_id, pool_id)
    SELECT trash_id, it.name, it.size, trash_id, (SELECT min(pool_id) FROM pools) FROM it, bin
"""
# Counted here by the rows themselves, one by one: who was made smaller holds what it booted with.
COUNTED = """
SELECT o.name, (SELECT count(*) FROM machines m WHERE m.owner_id = o.owner_id),
    (SELECT count(DISTINCT machine_id) FROM reservations JOIN machines m USING (machine_id)
        WHERE m.owner_id = o.owner_id),
    (SELECT coalesce(sum(greatest(m.memory, r.memory)), 0) FROM machines m
        LEFT JOIN reservations r USING (machine_id) WHERE m.owner_id = o.owner_id),
    (SELECT coalesce(sum(size), 0) FROM disks JOIN machines m USING (machine_id)
        WHERE m.owner_id = o.owner_id)
        + (SELECT coalesce(sum(size), 0) FROM trash_disks JOIN trash t USING (trash_id)
            WHERE t.owner_id = o.owner_id),
    (SELECT coalesce(sum(m.cpus), 0) FROM machines m WHERE m.owner_id = o.owner_id),
    (SELECT count(ip) FROM nics JOIN machines m USING (machine_id) WHERE m.owner_id = o.owner_id)
FROM owners o ORDER BY 1
"""
SAID = """
SELECT name, used_machines, used_running, used_memory, used_disk + trash, used_cpus, used_addresses
FROM owner_quotas ORDER BY 1
"""


def bound(database: Database, whose: str, **amounts: int) -> None:
    """whose: an owner, a principal, or "" of the whole site."""
    for resource, amount in amounts.items():
        database.execute(
            "INSERT INTO quotas (owner_id, principal, resource, amount) VALUES"
            " ((SELECT owner_id FROM owners WHERE name = %s), %s, %s, %s)"
            " ON CONFLICT ON CONSTRAINT quotas_key DO UPDATE SET amount = excluded.amount",
            (whose, whose if "@" in whose else None, resource, amount),
        )


@pytest.fixture
def two(database: Database) -> Database:
    """alice and bob, each with the same quotas; hosts, addresses."""
    site(database)
    database.execute("INSERT INTO owners (name, memory, disk, machines) VALUES ('bob', 0, 0, 0)")
    for name in ("alice", "bob"):
        bound(database, name, **MOST)
    return database


NAMES = st.sampled_from(["a", "b", "c", "d"])
OWNERS = st.sampled_from(["alice", "bob"])
STEPS: list[st.SearchStrategy[tuple[str, tuple[Any, ...]]]] = [
    st.tuples(st.just(MACHINE), st.tuples(NAMES, st.sampled_from([100, 400]), st.integers(1, 3), OWNERS)),
    st.tuples(st.just("DELETE FROM machines WHERE name = %s"), st.tuples(NAMES)),
    st.tuples(st.just(DISK), st.tuples(st.sampled_from(["hda", "hdb"]), st.integers(1, 5), NAMES)),
    st.tuples(
        st.just(
            "UPDATE disks SET size = %s WHERE machine_id = (SELECT machine_id FROM machines WHERE name = %s)"
        ),
        st.tuples(st.integers(1, 6), NAMES),
    ),
    st.tuples(
        st.just(NIC),
        st.tuples(
            st.integers(1, 99).map("02:00:00:00:00:{:02d}".format),
            st.integers(1, 60).map("10.5.0.{}".format),
            NAMES,
        ),
    ),
    st.tuples(st.just(BOOT), st.tuples(NAMES)),
    st.tuples(
        st.just(
            "DELETE FROM reservations WHERE machine_id = (SELECT machine_id FROM machines WHERE name = %s)"
        ),
        st.tuples(NAMES),
    ),
    st.tuples(
        st.just("UPDATE machines SET memory = %s, cpus = %s WHERE name = %s"),
        st.tuples(st.sampled_from([100, 300, 500]), st.integers(1, 4), NAMES),
    ),
    st.tuples(
        st.just(
            "UPDATE machines SET owner_id = (SELECT owner_id FROM owners WHERE name = %s) WHERE name = %s"
        ),
        st.tuples(OWNERS, NAMES),
    ),
    st.tuples(st.just(TRASH), st.tuples(NAMES)),
    st.tuples(st.just("DELETE FROM trash WHERE trash_id = (SELECT min(trash_id) FROM trash)"), st.just(())),
]


@given(history=st.lists(st.one_of(STEPS), min_size=5, max_size=40))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_history_gives_more_or_counts_otherwise(
    two: Database, history: list[tuple[str, tuple[Any, ...]]]
) -> None:
    """Each step is done or refused whole; what is said to be used is what is there, and within the rows."""
    for table in ("trash", "reservations", "machines"):
        two.execute(f"DELETE FROM {table}")
    for query, values in history:
        try:
            two.execute(query, values or None)
        except psycopg2.Error as error:
            assert error.pgcode in ("P0001", "23505", "23514"), error  # a rule's word, or the name is taken
        counted = two.execute(COUNTED)
        assert two.execute(SAID) == counted, query
        for _, *used in counted:
            assert all(some <= MOST[name] for name, some in zip(RESOURCES, used, strict=True)), (query, used)


def make(database: Database, number: int, resource: str, owner: str) -> Callable[[], bool]:
    """What takes one more of the resource, by a machine that is made, or is there."""

    def run() -> bool:
        query, values = {
            "running": (BOOT, (f"m{number}",)),
            "disk": (DISK, ("hda", 1, f"m{number}")),
            "addresses": (NIC, (f"02:00:00:00:01:{number:02x}", f"10.5.0.{number + 10}", f"m{number}")),
        }.get(resource, (MACHINE, (f"m{number}", 1, 1, owner)))
        try:
            database.execute(query, values)
        except psycopg2.Error as error:
            assert error.diag.constraint_name == "no_room", error
            return False
        return True

    return run


PLACES = [("alice", resource) for resource in RESOURCES] + [("alice@INVIRT.TEST", "memory"), ("", "disk")]


@pytest.mark.parametrize(("whose", "resource"), PLACES)
def test_many_at_once_at_the_edge_get_what_there_is(two: Database, resource: str, whose: str) -> None:
    """Of an owner, of all that one user made, of the site: 200 at once, one more than fits to none."""
    two.execute("UPDATE owners SET made_by = 'alice@INVIRT.TEST'")
    two.execute("UPDATE address_ranges SET last = '10.5.0.250'")
    two.execute("UPDATE hosts SET memory = 1000000")
    for name in ("alice", "bob"):
        bound(two, name, **dict.fromkeys(RESOURCES, 1000))
    if resource in ("running", "disk", "addresses"):
        for number in range(200):
            two.execute(MACHINE, (f"m{number}", 1, 1, "alice"))
    bound(two, whose, **{resource: 7})
    with ThreadPoolExecutor(16) as pool:
        owners = ["alice"] if whose == "alice" else ["alice", "bob"]
        tasks = [make(two, number, resource, owners[number % len(owners)]) for number in range(200)]
        assert sum(pool.map(lambda task: task(), tasks)) == 7
    assert two.execute(f"SELECT sum(used_{resource}) FROM owner_quotas") == [(7,)]
