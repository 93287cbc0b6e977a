"""What safety costs: creates through operations, on hosts that cost nothing.

A create is a whole process, as a command of a user's is one: its imports, its
connection, the admission and every step.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.parts.operations.conftest import Site, site
from tests.parts.postgres import Cluster
from tests.results import best

__all__ = ["site"]  # the fixture

ROOT = Path(__file__).parents[2]
ONE = 0.3  # seconds
MANY = 10  # a second, AT_ONCE processes at once
AT_ONCE = 100
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


def create() -> float:
    """Make a machine, one of a user's four, in a process of its own; returns the seconds it took."""
    number = next(_numbers)
    words = [f"m{number}", f"user{number // 4}"]
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", PROGRAM, *words], check=True, cwd=ROOT, timeout=120)
    return time.monotonic() - began


def one() -> float:
    """Seconds of the quickest of a few creates."""
    return min(create() for _ in range(5))


def processors() -> float:
    """Seconds that the processors have been busy (proc(5): user, nice, system, irq, softirq)."""
    words = Path("/proc/stat").read_text().split()
    return sum(int(words[place]) for place in (1, 2, 3, 6, 7)) / os.sysconf("SC_CLK_TCK")


def ours(cluster: Cluster) -> float:
    """Seconds of them that went to PostgreSQL, this process, and all that it has waited for."""
    times = Path(f"/proc/{cluster.process.pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    mine = os.times()
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK") + sum(mine[:4])


def many(cluster: Cluster) -> float:
    """Creates a second, of so many at once; time that the processors gave to others is not counted."""
    began, busy, own = time.monotonic(), processors(), ours(cluster)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: create(), range(AT_ONCE)))
    others = max(0.0, processors() - busy - (ours(cluster) - own))
    return AT_ONCE / (time.monotonic() - began - others / len(os.sched_getaffinity(0)))


@pytest.mark.parametrize("there", [0, FILLED], ids=["empty", f"{FILLED} machines"])
def test_creates(site: Site, cluster: Cluster, there: int) -> None:
    site.rows(RANGE)
    site.rows(ZONES)
    if there:
        site.rows(FILL, there)
        site.rows("ANALYZE")
    best(f"create, {there} machines there", one, "s", ONE)
    best(f"{AT_ONCE} creates at once, {there} machines there", lambda: many(cluster), "a second", MANY, True)
    made = site.rows("SELECT count(*) FROM operations WHERE state = 'done'")
    assert site.rows("SELECT count(*) FROM machines WHERE name LIKE 'm%%'") == made
