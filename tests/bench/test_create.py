"""What safety costs: creates through operations, on hosts that cost nothing.

A create is a whole process, as a command of a user's is one: its imports, its
connection, the admission and every step.  The bare thing is a process that
enters the same rows in one transaction.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.parts.operations.conftest import Site, site
from tests.results import beside, quickest

__all__ = ["site"]  # the fixture

ROOT = Path(__file__).parents[2]
ONE, MANY = 3.0, 4.0  # times as long, alone and AT_ONCE
AT_ONCE = 25
FILLED = 10_000  # machines

# The hosts are in the process' own memory.
PROGRAM = """
import sys
from invirt.database import connection
from invirt.remote.operations import Actor, submit
from tests.parts.operations.fakehosts import FakeHosts
connection.role = "remote"
hosts = FakeHosts("host1.invirt.test", "host2.invirt.test")
submit("create", Actor(sys.argv[2] + "@INVIRT.TEST"), sys.argv[1], {"memory": 64, "disk": 1}, hosts=hosts)
"""

BARE = """
import sys
import psycopg2
name, folder, database = sys.argv[1:]
with psycopg2.connect(host=folder, dbname=database, user="invirt") as connected:
    cursor = connected.cursor()
    cursor.execute("INSERT INTO owners (name, memory, disk, machines) VALUES (%s, 64, 1, 1)"
        " RETURNING owner_id", (name,))
    cursor.execute("INSERT INTO machines (name, owner_id, type_id, memory) VALUES (%s, %s, 1, 64)"
        " RETURNING machine_id", (name, *cursor.fetchone()))
    made = cursor.fetchone()
    cursor.execute("INSERT INTO disks (machine_id, name, size) VALUES (%s, 'hda', 1)", made)
    number = int(name[4:])
    cursor.execute("INSERT INTO nics (machine_id, mac_addr, ip) SELECT %s, %s, last - %s FROM address_ranges",
        (*made, f"02:00:00:00:{number // 256:02x}:{number % 256:02x}", number))
"""

FILL = """
WITH owned AS (INSERT INTO owners (name, memory, disk, machines)
    SELECT 'o' || n, 10000, 100, 10 FROM generate_series(1, %s / 10) n RETURNING owner_id),
made AS (INSERT INTO machines (name, owner_id, type_id, memory)
    SELECT 'f' || owner_id || '0' || n, owner_id, 1, 64 FROM owned, generate_series(0, 9) n
    RETURNING machine_id)
INSERT INTO nics (machine_id, mac_addr, ip)
    SELECT machine_id, ('00163e' || to_char(n::int, 'FM000000'))::macaddr,
    '10.8.0.9'::inet + n::int FROM (SELECT machine_id, row_number() OVER () AS n FROM made) m
"""
RANGE = "UPDATE address_ranges SET first = '10.8.0.10', last = '10.8.250.0', prefix = 8, gateway = '10.8.0.1'"
ZONES = (
    "SELECT dns.set_site('invirt.test', ARRAY['invirt.test', '10.in-addr.arpa'],"
    " ARRAY['dns.invirt.test'], 'hostmaster.invirt.test', 30)"
)

_numbers = itertools.count()


def process(program: str, *words: str) -> None:
    """Run a program in a process of its own."""
    subprocess.run([sys.executable, "-c", program, *words], check=True, cwd=ROOT, timeout=120)


@pytest.mark.parametrize(
    "there",
    [pytest.param(0, id="empty", marks=pytest.mark.nightly), pytest.param(FILLED, id=f"{FILLED} machines")],
)
def test_creates(site: Site, there: int) -> None:
    site.rows(RANGE)
    site.rows(ZONES)
    if there:
        site.rows(FILL, there)
        site.rows("ANALYZE")

    def ours() -> None:
        """Make a machine, one of a user's four."""
        number = next(_numbers)
        process(PROGRAM, f"m{number}", f"user{number // 4}")

    def bare() -> None:
        process(BARE, f"bare{next(_numbers)}", site.database.socket, site.database.name)

    def many(work: Callable[[], None]) -> float:
        """Seconds of so many at once."""
        began = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(work) for _ in range(AT_ONCE)]:
                done.result()
        return time.monotonic() - began

    beside(f"a create, {there} machines there", lambda: quickest(ours, 3), lambda: quickest(bare, 3), ONE)
    beside(f"{AT_ONCE} creates at once, {there} machines there", lambda: many(ours), lambda: many(bare), MANY)
    made = site.rows("SELECT count(*) FROM operations WHERE state = 'done'")
    assert site.rows("SELECT count(*) FROM machines WHERE name LIKE 'm%%'") == made
