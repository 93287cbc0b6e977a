"""What Prometheus is told of the site, from the database; no names of users unless metrics.owners says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from invirt import config
from invirt.base.errors import InvirtError
from invirt.database.connection import transaction
from invirt.remote import absorb, doors
from invirt.remote.operations import KINDS
from invirt.remote.rows import Cursor

MIB = 1 << 20
KNOCK = 60.0  # seconds between two looks at doors, whose logs tell of each
Look = Callable[[], Mapping[str, float | None]]
OUTCOMES = ("done", "undone")
BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)  # seconds
MACHINES = """
SELECT coalesce(h.name::text, '') AS host, state, count(*) AS value
FROM machine_states LEFT JOIN hosts h USING (host_id) GROUP BY 1, 2 ORDER BY 1, 2
"""
HOSTS = """
SELECT h.name::text AS host, h.memory, h.enabled::integer, s.strangers,
    extract(epoch FROM now() - s.seen_at)::double precision AS silence,
    (SELECT coalesce(sum(r.memory), 0) FROM reservations r WHERE r.host_id = h.host_id)::bigint AS reserved
FROM hosts h LEFT JOIN host_signs s USING (host_id) ORDER BY h.name
"""
OPEN = """
SELECT s.state, count(o.state) AS value FROM unnest(ARRAY['running', 'undoing', 'stuck']) AS s (state)
LEFT JOIN operations o ON o.state = s.state GROUP BY s.state ORDER BY s.state
"""
LEASES = """
SELECT count(*) FILTER (WHERE lease_until > now()) AS held,
    count(*) FILTER (WHERE lease_until <= now()) AS lapsed
FROM operations WHERE state IN ('running', 'undoing') AND lease_holder IS NOT NULL
"""
CLAIMED = "SELECT count(*) AS value FROM claimed_twice"
OWNERS = """
SELECT o.name::text AS owner, count(m.machine_id) AS machines, coalesce(sum(r.memory), 0)::bigint AS reserved
FROM owners o JOIN machines m USING (owner_id) LEFT JOIN reservations r USING (machine_id)
GROUP BY o.owner_id ORDER BY o.name
"""
# Those that were open when it was looked last, and newer ones.
FINISHED = """
SELECT operation_id, kind, state, state IN ('running', 'undoing', 'stuck') AS open,
    extract(epoch FROM finished_at - created_at)::double precision AS seconds
FROM operations WHERE operation_id > %s OR operation_id = ANY (%s)
"""
NEWEST = """
SELECT coalesce(max(operation_id), 0) AS newest, coalesce(array_agg(operation_id) FILTER (
    WHERE state IN ('running', 'undoing', 'stuck')), '{}') AS open FROM operations
"""


def gauge(name: str, about: str, rows: Iterable[Mapping[str, Any]], value: str = "value") -> Metric:
    """A sample a row, whose other columns are its labels; a row without a value has none."""
    rows = list(rows)
    labels = [label for label in (rows[0] if rows else {}) if label != value]
    family = GaugeMetricFamily(f"invirt_{name}", about, labels=labels)
    for row in rows:
        if row[value] is not None:
            family.add_metric([str(row[label]) for label in labels], float(row[value]))
    return family


def _rows(cursor: Cursor, query: str, *values: object) -> list[dict[str, Any]]:
    cursor.execute(query, values)
    return [row._asdict() for row in cursor.fetchall()]


class Operations:
    """Counts the operations that have ended since it was made, from 0 on: what is new is no increase."""

    def __init__(self) -> None:
        self.seconds = Histogram(
            "invirt_operation_seconds",
            "how long operations took, that ended since the service began",
            ("kind", "outcome"),
            buckets=BUCKETS,
            registry=None,
        )
        for kind, outcome in product(KINDS, OUTCOMES):
            self.seconds.labels(kind, outcome)
        self.newest: int | None = None
        self.open: set[int] = set()

    def look(self, cursor: Cursor) -> None:
        """Count what has ended since the last look."""
        if self.newest is None:
            [found] = _rows(cursor, NEWEST)
            self.newest, self.open = found["newest"], set(found["open"])
        for row in _rows(cursor, FINISHED, self.newest, list(self.open)):
            self.newest = max(self.newest, row["operation_id"])
            if row["open"]:
                self.open.add(row["operation_id"])
            else:
                self.open.discard(row["operation_id"])
                self.seconds.labels(row["kind"], row["state"]).observe(row["seconds"])


class Site:
    """All but what operations took, asked when it is scraped; of a database that doesn't answer just that."""

    def __init__(self, operations: Operations, look: Look | None = None) -> None:
        self.operations, self.look = operations, look or doors.look
        self.seen: Mapping[str, float | None] = {}
        self.looked_at = -KNOCK

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        began = time.monotonic()
        try:
            with transaction() as cursor:
                cursor.execute("SELECT 1")
                answered = time.monotonic() - began
                found = [*_site(cursor), *_absorbed(cursor)]
                self.operations.look(cursor)
        except InvirtError:
            answered, found = None, []
        yield gauge("database_up", "whether the database answers", [{"value": answered is not None}])
        yield gauge("database_seconds", "until the database lets in and answers", [{"value": answered}])
        yield from found
        if time.monotonic() - self.looked_at >= KNOCK:
            self.seen, self.looked_at = self.look(), time.monotonic()
        seen = self.seen
        up = [{"door": door, "value": took is not None} for door, took in seen.items()]
        yield gauge("door_up", "whether a door that users come by answers", up)
        took = [{"door": door, "value": seconds} for door, seconds in seen.items()]
        yield gauge("door_seconds", "until it answers", took)


def _site(cursor: Cursor) -> Iterator[Metric]:
    yield gauge("machines", "machines by state and host; no host: it is off", _rows(cursor, MACHINES))
    hosts = _rows(cursor, HOSTS)

    def each(column: str, times: int = 1) -> list[dict[str, Any]]:
        return [
            {"host": row["host"], "value": None if row[column] is None else row[column] * times}
            for row in hosts
        ]

    yield gauge("host_memory_bytes", "for guests", each("memory", MIB))
    yield gauge("host_reserved_bytes", "memory that is promised to guests", each("reserved", MIB))
    yield gauge("host_enabled", "whether new guests may come", each("enabled"))
    yield gauge(
        "host_silence_seconds", "since the host's last sign of life; none: it never gave one", each("silence")
    )
    yield gauge("host_strangers", "guests that run there and have no reservation there", each("strangers"))
    yield gauge("claimed_twice", "machines that more than one host says to run", _rows(cursor, CLAIMED))
    yield gauge("operations_open", "operations by state", _rows(cursor, OPEN))
    [leases] = _rows(cursor, LEASES)
    yield gauge("leases", "of operations under way: held, or lapsed since whoever had it is gone",
                [{"state": state, "value": number} for state, number in leases.items()])  # fmt: skip
    if config.metrics.owners:
        owners = _rows(cursor, OWNERS)
        for column, about, times in (
            ("machines", "of an owner", 1),
            ("reserved", "bytes of an owner's machines", MIB),
        ):
            values = [{"owner": row["owner"], "value": row[column] * times} for row in owners]
            yield gauge(f"owner_{column}", about, values)


def _absorbed(cursor: Cursor) -> Iterator[Metric]:
    """The worst host is named even where its death would be absorbed, if there is any."""
    lost = absorb.unplaced(absorb.rooms(cursor))
    rows = [{"host": host, "value": memory * MIB} for host, memory in lost.items()]
    yield gauge(
        "host_loss_unplaced_bytes", "guests' memory without room elsewhere, should the host die", rows
    )
    absorbed = not any(lost.values())
    yield gauge(
        "loss_absorbed", "whether the death of any one host can be absorbed (N+1)", [{"value": absorbed}]
    )
    worst = (
        [{"host": max(lost, key=lambda host: lost[host]), "value": max(lost.values()) * MIB}] if lost else []
    )
    yield gauge("worst_loss_unplaced_bytes", "the same of the host whose death would be worst", worst)


def registry() -> CollectorRegistry:
    """All that is told; operations are counted from now on."""
    made, operations = CollectorRegistry(), Operations()
    try:
        with transaction() as cursor:
            operations.look(cursor)
    except InvirtError:
        pass  # from its first answer on
    made.register(Site(operations))
    made.register(operations.seconds)  # which the site has brought up to now
    return made
