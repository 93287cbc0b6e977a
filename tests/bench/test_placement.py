"""Placement and N+1 on 200 hosts, beside bare queries and hail of ganeti-htools."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from invirt.base.errors import NoRoom
from invirt.database import connection
from invirt.remote import absorb, placement, survey
from invirt.remote.rows import Cursor
from tests.bench import hail
from tests.bench.test_observed import BARELY, RESERVE
from tests.parts.postgres import Database
from tests.results import Result, beside, keep, quickest

ROUNDS = 5
PLACES, EACH, ROOM, MEMORY = 200, 20, 2048, 64
SITE = """
INSERT INTO hosts (name, hostname, memory)
    SELECT 'host' || n, 'host' || n || '.invirt.test', {room} FROM generate_series(1, {hosts}) n;
INSERT INTO types (name, virt, kernel) VALUES ('linux', 'pvh', '/boot/vmlinuz');
INSERT INTO owners (name, memory, disk, machines) VALUES ('alice', 1000000000, 1000000, 1000000);
"""
PLACED = f"""
{SITE.format(room=ROOM, hosts=PLACES)}
{BARELY}
INSERT INTO machines (name, owner_id, type_id, memory)
    SELECT 'm' || n, owner_id, type_id, {MEMORY} FROM owners, types, generate_series(1, {PLACES * EACH}) n;
INSERT INTO disks (machine_id, name, size) SELECT machine_id, 'hda', 1 FROM machines;
{RESERVE}
ANALYZE
"""
# What each can't do without.
HOSTS = "SELECT host_id, memory FROM hosts ORDER BY host_id FOR NO KEY UPDATE"
USED = "SELECT host_id, sum(memory) FROM reservations GROUP BY host_id"
GUESTS = """
SELECT r.host_id, r.memory, t.needs, d.pool_id FROM reservations r JOIN machines m USING (machine_id)
    JOIN types t USING (type_id) JOIN disks d USING (machine_id) ORDER BY r.memory DESC
"""
CHOICE, LOSS = 6.0, 4.0  # times as long as these
CLUSTER = f"{PLACES} hosts with {EACH} machines each"
NEVER = 20.0  # seconds after which hail need not go on


@pytest.fixture
def cursor(database: Database) -> Iterator[Cursor]:
    """In a transaction of remote's."""
    database.execute(PLACED, user="postgres")
    connection.role = "remote"
    with closing(connection.connect()) as connected, connection.transaction(connected) as cursor:
        yield cursor


def asked(cursor: Cursor) -> survey.Survey:
    """As if all hosts had answered."""
    hosts = survey.all_hosts(cursor)
    states = {host.host_id: "off" for host in hosts}
    return survey.Survey(survey.Seen(), hosts, survey.all_pools(cursor), states)


def place(cursor: Cursor, answers: survey.Survey) -> float:
    """Seconds."""
    return quickest(lambda: placement.choose(cursor, answers, MEMORY, (), ()), ROUNDS)


def absorbed(cursor: Cursor) -> float:
    """Seconds until it is known whether the death of any host is absorbed, which it is."""
    assert not any(absorb.unplaced(absorb.rooms(cursor)).values())
    return quickest(lambda: absorb.unplaced(absorb.rooms(cursor)), ROUNDS)


def test_placement(cursor: Cursor) -> None:
    answers = asked(cursor)

    def bare(*queries: str) -> float:
        def ask() -> None:
            for query in queries:
                cursor.execute(query)
                cursor.fetchall()

        return quickest(ask, ROUNDS)

    beside(f"placement, {CLUSTER}", lambda: place(cursor, answers), lambda: bare(HOSTS, USED), CHOICE)
    beside(f"N+1, {CLUSTER}", lambda: absorbed(cursor), lambda: bare(HOSTS, GUESTS), LOSS)


@pytest.mark.nightly
def test_placement_beside_hail(cursor: Cursor, tmp_path: Path) -> None:
    """Its start and its reading are of what it takes."""
    answers = asked(cursor)
    hosts = {f"host{number}": ROOM for number in range(PLACES)}
    guests = {f"m{number}": (f"host{number % PLACES}", MEMORY) for number in range(PLACES * EACH)}

    def theirs(*options: str) -> float:
        began = time.monotonic()
        with suppress(subprocess.TimeoutExpired):
            assert hail.choose(tmp_path, hosts, guests, MEMORY, *options, timeout=NEVER)
        return time.monotonic() - began

    beside(f"placement, {CLUSTER}, to hail", lambda: place(cursor, answers), lambda: theirs(BLIND), 0.1)
    ours, checked = place(cursor, answers) + absorbed(cursor), theirs()
    result = Result(f"with N+1, {CLUSTER}, to hail", ours / checked, "times", 0.1, bare=checked)
    assert keep(result).sound


BLIND = "--no-capacity-checks"
SIZES = (64, 128, 256, 512, 1024, 2048)  # MiB
CHURN, FEW, LARGE = 10_000, 20, 8192  # creates; hosts, and MiB of each
WANTED = 1.1  # of all memory, were nothing refused
# None takes more than it is said to have, which would be a matter of its owner's quota.
NUMBERS = f"""
INSERT INTO machines (name, owner_id, type_id, memory)
    SELECT 'm' || n, owner_id, type_id, {SIZES[-1]} FROM owners, types, generate_series(1, {CHURN}) n;
ANALYZE
"""
TAKE = """
INSERT INTO reservations (machine_id, host_id, memory) SELECT machine_id, %s, %s FROM machines WHERE name = %s
"""
LEAVE = "DELETE FROM reservations WHERE machine_id = (SELECT machine_id FROM machines WHERE name = %s)"


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_no_more_is_refused_than_by_hail(database: Database, tmp_path: Path) -> None:
    """The same machines come and go at both, more than there is room for."""
    database.execute(SITE.format(room=LARGE, hosts=FEW) + BARELY + NUMBERS, user="postgres")
    hosts = {f"host{number}": LARGE for number in range(1, FEW + 1)}
    guests: dict[str, tuple[str, int]] = {}
    there: dict[str, int] = {}  # MiB of those that should be there, by name
    refused = {"ours": 0, "hail's": 0}
    chance = random.Random(1)
    connection.role = "remote"
    with closing(connection.connect()) as connected:
        for number in range(1, CHURN + 1):
            name, memory = f"m{number}", chance.choice(SIZES)
            there[name] = memory
            with connection.transaction(connected) as cursor:
                while sum(there.values()) > WANTED * FEW * LARGE:
                    gone = chance.choice(list(there))
                    del there[gone]
                    guests.pop(gone, None)
                    cursor.execute(LEAVE, (gone,))
                try:
                    host = placement.choose(cursor, asked(cursor), memory, (), ())
                    cursor.execute(TAKE, (host.host_id, memory, name))
                except NoRoom:
                    refused["ours"] += 1
            chosen = hail.choose(tmp_path, hosts, guests, memory, BLIND)
            if chosen is None:
                refused["hail's"] += 1
            else:
                guests[name] = (chosen, memory)
    for whose, times in refused.items():
        keep(Result(f"{CHURN} creates and deletes on {FEW} hosts, refusals, {whose}", times, "times"))
    assert 0 < refused["ours"] <= refused["hail's"]
