"""What is kept of machines' usage has a bound: 6 GiB for 10,000 machines, whatever hosts write."""

from __future__ import annotations

import random
from contextlib import closing
from typing import Any

import pytest

from invirt.database.usage import KEEP, METRICS, REASONS
from invirt.host import observer
from tests.parts.postgres import Cluster, Database
from tests.results import Result, keep

pytestmark = pytest.mark.nightly
MACHINES, HOSTS = 960, 4
BOUND = 6 << 30  # bytes
ALL = 10_000  # machines
# Rows of a machine: hours of a day, with those that begin and end; hours of the days before; days.
KEPT = {"usage_minutes": 26, "usage_tens": 24 * 31, "usage_days": 397}
FILL = f"""
INSERT INTO hosts (name, hostname, memory)
    SELECT 'host' || n, 'host' || n || '.invirt.test', 100000 FROM generate_series(1, {HOSTS}) n;
INSERT INTO types (name, virt, kernel) VALUES ('linux', 'pvh', '/boot/vmlinuz');
INSERT INTO owners (name, memory, disk, machines) VALUES ('alice', 100000, 1000, 1000);
INSERT INTO machines (name, owner_id, type_id, memory)
    SELECT 'm' || n, owner_id, type_id, 64 FROM owners, types, generate_series(1, {MACHINES}) n;
INSERT INTO reservations (machine_id, host_id, memory)
    SELECT machine_id, h.host_id, 64 FROM machines, hosts h WHERE h.name = 'host' || machine_id % {HOSTS} + 1
"""
PLACED = "SELECT hostname, array_agg(machine_id) FROM reservations JOIN hosts USING (host_id) GROUP BY 1"
# Without what a table has but once, however large it is.
SIZE = """
SELECT sum(pg_relation_size(c.oid) + pg_relation_size(c.reltoastrelid) + pg_relation_size(x.indexrelid))
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    JOIN pg_index x ON x.indrelid = c.oid AND x.indisprimary
WHERE i.inhparent = %s::regclass AND pg_relation_size(c.oid) > 0
"""
# As if the hour was long ago.
HOUR = "date_trunc('day', now(), 'UTC') - interval '30 hours'"
MINUTE = "extract(minute FROM now() AT TIME ZONE 'UTC')"


def _noise(values: int) -> str:
    """As large as numbers get, and such that they can't be pressed together."""
    return "{" + ",".join(str(random.getrandbits(31)) for _ in range(values)) + "}"


def _sample(host: str, machines: list[int], minute: int) -> dict[str, object]:
    used = [_noise(len(METRICS)) for _ in machines]
    drops = [_noise(len(REASONS)) for _ in machines]
    return {"host": host, "machines": machines, "used": used, "drops": drops, "minute": minute}


def test_size(database: Database, cluster: Cluster) -> None:
    """Each minute of an hour is written as hosts do it; autovacuum would come each minute."""
    now = "date_trunc('hour', now(), 'UTC')"
    assert observer.USED.count(now) == observer.USED.count(MINUTE) == 1
    write = observer.USED.replace(now, HOUR).replace(MINUTE, "%(minute)s")
    with closing(cluster.superuser(database.name)) as connected, connected.cursor() as cursor:
        cursor.execute(FILL)
        cursor.execute(f"SELECT usage_part('usage_minutes', {HOUR}, {HOUR} + interval '1 hour')")
        cursor.execute(PLACED)
        hosts = cursor.fetchall()
        for minute in range(60):
            for host, machines in hosts:
                cursor.execute(write, _sample(host, machines, minute))
            if minute % 2:
                cursor.execute("VACUUM usage_minutes")
        minutes = _size(cursor, "usage_minutes")
        cursor.execute(KEEP)
        sizes = {"usage_minutes": minutes, **{table: _size(cursor, table) for table in list(KEPT)[1:]}}
    total = sum(size / MACHINES * ALL * KEPT[table] for table, size in sizes.items())
    keep(Result("usage of 10,000 machines, at most", total / (1 << 30), "GiB", BOUND / (1 << 30)))
    assert min(sizes.values()) > MACHINES * 4 * len(METRICS)
    assert total < BOUND, sizes


def _size(cursor: Any, table: str) -> int:
    cursor.execute(SIZE, (table,))
    [(size,)] = cursor.fetchall()
    return int(size)
