"""What safety costs: creates through operations, on hosts that cost nothing.

Printed, and held against limits that leave room for a busy machine.
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.parts.operations.conftest import Site, site

__all__ = ["site"]  # the fixture

ONE = 0.3  # seconds: a whole process with its imports
MANY = 10  # a second, 100 processes at once
SLACK = 3  # other work on the machine

# A process as a command is one, with hosts in its own memory.
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


def create(number: int) -> float:
    """Make a machine, one of a user's four, in a process of its own; returns the seconds it took."""
    words = [f"m{number}", f"user{number // 4}"]
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], check=True, cwd=Path(__file__).parents[2], timeout=60
    )
    return time.monotonic() - began


@pytest.fixture(params=[0, 10000], ids=["empty", "10000 machines"])
def filled(site: Site, request: pytest.FixtureRequest) -> Site:
    """A site that has so many machines already, all with owners."""
    site.rows(
        "UPDATE address_ranges SET first = '10.8.0.10', last = '10.8.250.0', prefix = 8, gateway = '10.8.0.1'"
    )
    if request.param:
        site.rows(FILL, request.param)
        site.rows("ANALYZE")
    return site


def test_creates_are_quick(filled: Site, capsys: pytest.CaptureFixture[str]) -> None:
    one = sorted(create(n) for n in range(7))[3]
    began = time.monotonic()
    with ThreadPoolExecutor(100) as pool:
        list(pool.map(create, range(100, 200)))
    many = 100 / (time.monotonic() - began)
    machines = filled.rows("SELECT count(*) FROM machines")[0][0]
    with capsys.disabled():
        print(f"\ncreates with {machines} machines there: one {one:.2f} s, 100 at once {many:.0f} a second")
    assert one < ONE * SLACK
    assert many > MANY / SLACK
