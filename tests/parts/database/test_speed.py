"""With 10,000 machines, what users wait for goes by indexes; a database that is gone or stuck is given up."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2.extensions
import pytest

from invirt import config
from invirt.base.errors import Busy, InvirtError, Unreachable
from invirt.database.connection import connect, transaction
from tests.parts import postgres
from tests.parts.postgres import Database
from tests.results import beside, quickest

LOCK = "SELECT FROM types WHERE name = 'linux' FOR UPDATE"
# Without the rules, which would look at each row; the rows keep them.
FILL = """
SET session_replication_role = replica;
INSERT INTO types (name, virt) VALUES ('linux', 'pvh');
INSERT INTO hosts (name, hostname, memory)
    SELECT 'host' || n, 'host' || n || '.x', 100000 FROM generate_series(1, 50) n;
INSERT INTO address_ranges (first, last, prefix, gateway) VALUES ('10.0.1.0', '10.0.255.254', 16, '10.0.0.1');
INSERT INTO owners (name, memory, disk, machines)
    SELECT 'o' || n, 4096, 100, 500 FROM generate_series(1, 2500) n;
INSERT INTO members SELECT owner_id, name || '@X' FROM owners;
INSERT INTO machines (name, owner_id, type_id, memory, host_id)
    SELECT 'm' || n, (SELECT min(owner_id) FROM owners) + n % 2500, type_id, 128,
        CASE WHEN n % 2 = 0 THEN (SELECT min(host_id) FROM hosts) + n % 50 END
    FROM generate_series(1, 10000) n, types;
INSERT INTO reservations (machine_id, host_id, memory)
    SELECT machine_id, host_id, memory FROM machines WHERE host_id IS NOT NULL;
INSERT INTO disks (machine_id, name, size) SELECT machine_id, 'hda', 10 FROM machines;
INSERT INTO nics (machine_id, mac_addr, ip) SELECT machine_id,
    ('02:00:00:00:' || lpad(to_hex(row_number() OVER () / 256), 2, '0') || ':'
        || lpad(to_hex(row_number() OVER () % 256), 2, '0'))::macaddr,
    '10.0.1.0'::inet + row_number() OVER () FROM machines;
INSERT INTO machine_access SELECT machine_id, 'p' || machine_id || '@X' FROM machines;
INSERT INTO operations (kind, machine_id, machine_name, principal, state)
    SELECT 'create', machine_id, name, 'o1@X', 'done' FROM machines;
SET session_replication_role = origin;
SELECT dns.rebuild();
ANALYZE;
"""

ADMISSION = 10.0  # times as long as the bare row
ADMIT = """
INSERT INTO machines (name, owner_id, type_id, memory, host_id)
    SELECT %s, (SELECT min(owner_id) + 9 FROM owners), min(type_id), 1,
        (SELECT min(host_id) FROM hosts) FROM types
"""

QUERIES = [
    "SELECT * FROM machines WHERE name = 'm77'",
    "SELECT * FROM machines WHERE owner_id = 77",
    "SELECT sum(memory) FROM reservations WHERE host_id = 7",
    "SELECT host_id FROM reservations WHERE machine_id = 77",
    "SELECT owner_id FROM members WHERE principal = 'o77@X'",
    "SELECT machine_id FROM machine_access WHERE principal = 'p77@X'",
    "SELECT * FROM disks WHERE machine_id = 77",
    "SELECT * FROM nics WHERE machine_id = 77",
    "SELECT * FROM nics WHERE ip = '10.0.1.77'",
    "SELECT * FROM operations WHERE machine_id = 77 AND state IN ('running', 'undoing', 'stuck')",
    "SELECT * FROM operations WHERE state IN ('running', 'undoing') AND lease_until < now()",
    "SELECT * FROM operations WHERE principal = 'o1@X' AND request_key = 'k'",
    "SELECT * FROM operations WHERE machine_name = 'm77'",
]


@pytest.fixture(scope="module")
def large(cluster: postgres.Cluster) -> Iterator[Database]:
    """10,000 machines of 2,500 owners on 50 hosts."""
    name = "large"
    cluster.run(f"CREATE DATABASE {name} TEMPLATE {postgres.TEMPLATE} OWNER invirt")
    made = Database(name, str(cluster.folder), Path())
    cluster.run(FILL, name)
    yield made
    cluster.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("query", QUERIES)
def test_questions_go_by_indexes(large: Database, query: str) -> None:
    """No table is read from end to end."""
    plan = "\n".join(str(line) for (line,) in large.execute(f"EXPLAIN {query}"))
    assert "Index" in plan and "Seq Scan" not in plan, plan


def test_an_admission_is_quick(large: Database, cluster: postgres.Cluster) -> None:
    """All rules together cost a few milliseconds, where the bare row costs one."""
    numbers = itertools.count()

    def admit(cursor: psycopg2.extensions.cursor) -> None:
        cursor.execute(ADMIT, (f"new{next(numbers)}",))

    with (
        closing(large.connect()) as ours,
        closing(cluster.superuser(large.name)) as bare,
        ours.cursor() as ruled,
        bare.cursor() as free,
    ):
        free.execute("SET session_replication_role = replica")  # no triggers
        beside(
            "an admission, 10,000 machines there",
            lambda: quickest(lambda: admit(ruled), 9),
            lambda: quickest(lambda: admit(free), 9),
            ADMISSION,
        )
        free.execute("DELETE FROM machines WHERE name LIKE 'new%'")


def test_a_stopped_database(tmp_path: Path, database: Database) -> None:
    """Nobody listens: said at once."""
    database.config.write_text(database.config.read_text().replace(database.socket, str(tmp_path)))
    config.reload()
    with pytest.raises(Unreachable, match="doesn't answer"), transaction():
        pass


def test_a_slow_statement(database: Database) -> None:
    """The server itself ends it after statement_timeout."""
    _impatient(database)
    began = time.monotonic()
    with pytest.raises(Unreachable, match="statement timeout"), transaction() as cursor:
        cursor.execute("SELECT pg_sleep(30)")
    assert time.monotonic() - began < 20


def test_whoever_waits_for_a_row_is_told_that_it_is_busy(database: Database) -> None:
    """Both the first and the second in the queue, which waits for its turn, too."""
    _impatient(database, 5)
    database.execute("INSERT INTO types (name, virt) VALUES ('linux', 'pvh')")
    with transaction() as holder, ThreadPoolExecutor() as queue:
        holder.execute(LOCK)
        waiters = [queue.submit(_lock) for _ in range(3)]
        for waiter in waiters:
            with pytest.raises(Busy, match="someone else is changing the same thing"):
                waiter.result(timeout=30)


def _lock() -> None:
    with transaction() as cursor:
        cursor.execute(LOCK)


def test_a_frozen_session(database: Database) -> None:
    """A server that says nothing at all is given up by the client."""
    _impatient(database)
    with closing(connect()) as opened:
        pid = opened.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(Unreachable, match="in time"), transaction(opened) as cursor:
                cursor.execute("SELECT 1")
        finally:
            os.kill(pid, signal.SIGCONT)
        assert opened.closed


def test_a_frozen_server() -> None:
    """Nor does a connection that isn't accepted keep anyone for long."""
    folder = postgres.new_folder()
    frozen = postgres.start(folder, postgres.SETTINGS)
    file = folder / "invirt.yaml"
    file.write_text(
        postgres.CONFIG.format(socket=folder, name="postgres").replace(
            "connect_timeout: 3", "connect_timeout: 2"
        )
    )
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("INVIRT_CONFIG", str(file))
            config.reload()
            frozen.process.send_signal(signal.SIGSTOP)
            began = time.monotonic()
            with pytest.raises(InvirtError) as caught:
                connect()
            assert isinstance(caught.value, Unreachable)
            assert time.monotonic() - began < 20
    finally:
        frozen.process.send_signal(signal.SIGCONT)
        postgres.stop(frozen)
        config.reload()


def _impatient(database: Database, seconds: int = 1) -> None:
    shorter = database.config.read_text().replace("statement_timeout: 10", f"statement_timeout: {seconds}")
    database.config.write_text(shorter)
    config.reload()
