"""What safety costs: creates through operations, on hosts that cost nothing.

A create is a whole process, as a command of a user's is one: its imports, its
connection, the admission and every step.  The bare thing is a process that
enters the same rows in one transaction.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.parts.operations.conftest import Site, site
from tests.parts.realm import end
from tests.results import Result, beside, keep, quickest

__all__ = ["site"]  # the fixture

ROOT = Path(__file__).parents[2]
ONE, MANY = 3.0, 4.0  # times as long, alone and AT_ONCE
AT_ONCE, STORM = 25, 100
WARM = 1.5  # times as long as a process of Python that enters the rows
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

# The same by workers started ahead, as remctld has them: the program is their client.
SERVICE = """
import sys
from functools import partial
from invirt.base import warm
from invirt.base.worker import Role
from invirt.database import connection
from invirt.database.ahead import Ahead
from invirt.remote.commands.warm import SPARE, usual
from invirt.remote.operations import Actor, submit
from tests.parts.operations.fakehosts import FakeHosts
hosts = FakeHosts("host1.invirt.test", "host2.invirt.test")
def create():
    wants = {"memory": 64, "disk": 1}
    submit("create", Actor(sys.argv[2] + "@INVIRT.TEST"), sys.argv[1], wants, hosts=hosts)
    return 0
connection.role = "remote"
warm.serve(Role("remote", {"create": create}, partial(Ahead, "remote", usual), SPARE))
"""
# As many at once as there are words, each by a process of its own.
CREATE = 'for one in "$@"; do $0 ${one%/*} ${one#*/} & done; wait'
ENTER = 'for one in "$@"; do "$0" -c "$BARE" $one "$SOCKET" "$DATABASE" & done; wait'

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


@contextmanager
def ready(folder: Path) -> Iterator[str]:
    """Workers are; yields the program that has one of them make a machine: NAME USER."""
    (folder / "warm").mkdir()
    program = folder / "create"
    program.write_text(f"#!{ROOT}/invirt-base/libexec/warm remote\nraise SystemExit('no worker did it')\n")
    program.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "warm/remote"))
        listening.listen(256)
        argv = ["bash", "-c", f'exec "$@" 3<&{listening.fileno()}', "bash", sys.executable, "-c", SERVICE]
        service = subprocess.Popen(argv, cwd=ROOT, pass_fds=[listening.fileno()])
        try:
            yield str(program)
        finally:
            end(service)


@dataclass
class Warm:
    """A site with as many machines as FILLED, and a program by which a worker makes one more: NAME USER."""

    site: Site
    program: str

    def create(self, many: int = 1) -> None:
        """So many at once, each by a process of its own."""
        numbers = itertools.islice(_numbers, many)
        _run(CREATE, self.program, *(f"m{number}/user{number // 4}" for number in numbers))

    def enter(self, many: int = 1) -> None:
        """The same rows by as many processes of Python, by hand."""
        numbers = itertools.islice(_numbers, many)
        where = {"SOCKET": self.site.database.socket, "DATABASE": self.site.database.name}
        _run(ENTER, sys.executable, *(f"bare{number}" for number in numbers), BARE=BARE, **where)


def _run(script: str, *words: str, **environment: str) -> None:
    env = {**os.environ, **environment}
    subprocess.run(["sh", "-c", script, *words], env=env, check=True, timeout=240)


@pytest.fixture
def warm(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warm]:
    for statement in (RANGE, ZONES, FILL.replace("%s", str(FILLED)), "ANALYZE"):
        site.rows(statement)
    folder = Path(tempfile.mkdtemp(prefix="invirt-warm-"))  # its path has to be short
    monkeypatch.setenv("INVIRT_RUN", str(folder))
    try:
        with ready(folder) as program:
            made = Warm(site, program)
            made.create()
            yield made
    finally:
        shutil.rmtree(folder)
    done = site.rows("SELECT count(*) FROM operations WHERE state = 'done'")
    assert site.rows("SELECT count(*) FROM machines WHERE name LIKE 'm%%'") == done


def test_a_warm_create(warm: Warm) -> None:
    """As users have it, but for remctl and the hosts."""
    what = f"a warm create, {FILLED} machines there"
    beside(what, lambda: quickest(warm.create, 5), lambda: quickest(warm.enter, 5), WARM)


@pytest.mark.nightly
def test_a_storm_of_warm_creates(warm: Warm) -> None:
    """As many at once as a class has people."""
    took, _ = beside(
        f"{STORM} warm creates at once",
        lambda: quickest(partial(warm.create, STORM), 1),
        lambda: quickest(partial(warm.enter, STORM), 1),
        WARM,
    )
    keep(Result(f"warm creates, {STORM} at once", STORM / took, "a second"))
