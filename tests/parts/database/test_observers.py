"""What hosts write of their guests: their own word, of what is placed there, in the database's time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from invirt.base.errors import InvirtError
from invirt.base.names import DomainName
from invirt.database import connection, usage
from invirt.host import observer
from invirt.host.network.rules import REASONS
from invirt.host.observer import Observer
from invirt.host.usage import Counted
from invirt.host.watching import Seen
from tests.parts import postgres
from tests.parts.database.conftest import Caller

ME, OTHER = "host/host1.invirt.test", "host/host2.invirt.test"
CLEAN = "DELETE FROM {}"
PLACE = """
INSERT INTO reservations (machine_id, host_id, memory)
SELECT machine_id, h.host_id, 64 FROM machines, hosts h WHERE h.name = '{}'
"""
CLAIM = """
INSERT INTO guest_states (machine_id, host_id, state, since)
SELECT machine_id, h.host_id, '{}', now() FROM machines, hosts h RETURNING host_id
"""


@pytest.fixture
def rows(server: postgres.Cluster) -> Iterator[Any]:
    """rows(query) as the owner; remus is placed on host1, and nobody has said anything yet."""

    def clean() -> None:
        for table in ("guest_states", "host_signs", "usage_minutes", "usage_drops", "reservations"):
            server.run(CLEAN.format(table), "invirt")

    def ask(query: str) -> list[tuple[Any, ...]]:
        with closing(server.superuser("invirt")) as connected, connected, connected.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []

    clean()
    ask(PLACE.format("host1"))
    yield ask
    clean()


def refused(caller: Caller, principal: str, query: str) -> None:
    """By the rules of rows, or by rights."""
    with pytest.raises((InvirtError, psycopg2.Error)):
        caller.ask(principal, "host", query)


def test_a_host_claims_what_is_placed_there_alone(caller: Caller, rows: Any) -> None:
    assert len(caller.ask(ME, "host", CLAIM.format("running"))) == 1
    refused(caller, OTHER, CLAIM.format("running"))
    refused(caller, OTHER, CLAIM.format("off"))
    assert rows("SELECT h.name, state FROM guest_states JOIN hosts h USING (host_id)") == [
        ("host1", "running")
    ]


def test_a_host_sees_and_changes_its_own_rows_alone(caller: Caller, rows: Any) -> None:
    caller.ask(ME, "host", CLAIM.format("running"))
    assert caller.ask(OTHER, "host", "SELECT machine_id FROM guest_states") == []
    assert caller.ask(OTHER, "host", "UPDATE guest_states SET state = 'off' RETURNING state") == []
    for query in (
        "UPDATE guest_states SET host_id = host_id + 1 RETURNING 1",
        "UPDATE guest_states SET machine_id = 1 RETURNING 1",
        "DELETE FROM guest_states RETURNING 1",
        "UPDATE guest_states SET state = 'lost' RETURNING 1",
        "UPDATE guest_states SET state = 'running', why = 'crash' RETURNING 1",
        "INSERT INTO host_signs (host_id) SELECT host_id + 1 FROM hosts RETURNING 1",
        "INSERT INTO host_signs (host_id, strangers) SELECT host_id, -1 FROM hosts RETURNING 1",
        "SELECT * FROM claimed_twice",
    ):
        refused(caller, ME, query)


def test_without_a_reservation_a_host_may_say_off_alone(caller: Caller, rows: Any) -> None:
    """So what was said while it had one doesn't stay."""
    caller.ask(ME, "host", CLAIM.format("running"))
    rows("DELETE FROM reservations")
    refused(caller, ME, "UPDATE guest_states SET state = 'paused' RETURNING 1")
    assert caller.ask(ME, "host", "UPDATE guest_states SET state = 'off' RETURNING state") == [("off",)]
    refused(caller, ME, "UPDATE guest_states SET state = 'running' RETURNING 1")


@pytest.mark.parametrize("since", ["'infinity'", "'-infinity'", "now() + interval '1 day'"])
def test_time_is_the_database_s(caller: Caller, rows: Any, since: str) -> None:
    caller.ask(ME, "host", CLAIM.format("running"))
    caller.ask(ME, "host", f"UPDATE guest_states SET since = {since} RETURNING 1")
    sign = f"INSERT INTO host_signs (host_id, seen_at) SELECT host_id, {since} FROM hosts RETURNING 1"
    caller.ask(ME, "host", sign)
    told = "SELECT since BETWEEN now() - interval '1 hour' AND now() FROM guest_states"
    assert rows(told) == [(True,)]
    assert rows(told.replace("since", "seen_at").replace("guest_states", "host_signs")) == [(True,)]


def test_two_claims_are_an_alarm_and_no_choice(caller: Caller, rows: Any) -> None:
    """No row goes, no reservation, and the home stays; a move is none."""
    home = rows("SELECT host_id FROM machines")
    rows(PLACE.format("host2"))
    caller.ask(ME, "host", CLAIM.format("running"))
    caller.become(OTHER, "host")
    with closing(connection.connect()) as connected, connected, connected.cursor() as cursor:
        cursor.execute(CLAIM.format("running"))
        assert "remus is claimed by more than one host: host1, host2" in "".join(connected.notices)
    alarms = "SELECT name::text, hosts::text[] FROM claimed_twice"
    assert rows(alarms) == [("remus", ["host1", "host2"])]
    assert rows("SELECT host_id FROM machines") == home
    assert rows("SELECT count(*) FROM reservations, guest_states") == [(4,)]
    rows(
        "INSERT INTO operations (kind, machine_id, machine_name, principal, token)"
        " SELECT 'boot', machine_id, name, 'alice@X', 1 FROM machines"
    )
    assert rows(alarms) == []
    rows("DELETE FROM operations")


class Eyes:
    """A host that sees what a test says."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.used: dict[int, Counted] = {}

    def wait(self, seconds: float) -> None:
        """Nothing is waited for."""

    def look(self) -> list[Seen]:
        """What the test says."""
        return self.seen

    def counted(self) -> dict[int, Counted]:
        """The same."""
        return self.used


STATES = """
SELECT h.name, state, why, extract(epoch FROM now() - since) FROM guest_states JOIN hosts h USING (host_id)
"""
REMUS = DomainName("d_remus")


class Host:
    """One whose observer's turns are the test's."""

    def __init__(self, caller: Caller, name: str, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(observer, "PAUSE", 0.0)
        caller.become(f"host/{name}.invirt.test", "host")
        self.connected = connection.connect()
        self.connected.autocommit = True
        self.eyes = Eyes()
        self.observer = Observer(self.eyes, f"{name}.invirt.test")

    def sees(self, *seen: Seen) -> None:
        """A turn with these."""
        self.eyes.seen = list(seen)
        self.observer.turn(self.connected)


def test_an_observer_writes_what_it_sees(caller: Caller, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(caller, "host1", monkeypatch)
    ((number,),) = rows("SELECT machine_id FROM machines")
    host.sees(Seen(REMUS, "running", time.time() - 40, machine=number))
    ((name, state, why, age),) = rows(STATES)
    assert (name, state, why) == ("host1", "running", None) and 39 < age < 400
    assert rows("SELECT state, silence < 15 FROM machine_states") == [("running", True)]

    host.sees(Seen(REMUS, "off", time.time(), "crash", number))
    assert rows("SELECT state, why FROM machine_states") == [("off", "crash")]

    host.sees(Seen(REMUS, "running", time.time(), machine=number + 1))  # another machine of its name
    assert rows("SELECT state FROM guest_states") == [("off",)]
    assert rows("SELECT strangers FROM host_signs") == [(1,)]

    host.sees(Seen(REMUS, "running", time.time(), machine=number))
    rows("DELETE FROM reservations")
    host.sees()  # it is not known there any more
    assert rows("SELECT state, why FROM guest_states") == [("off", None)]
    assert rows("SELECT strangers FROM host_signs") == [(0,)]
    host.connected.close()


def test_what_runs_unreserved_is_counted_and_no_row(
    caller: Caller, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(caller, "host2", monkeypatch)
    host.sees(Seen(REMUS, "running", 0.0), Seen(DomainName("d_nobody"), "running", 0.0))
    assert rows("SELECT count(*) FROM guest_states") == [(0,)]
    assert rows("SELECT h.name, strangers FROM host_signs JOIN hosts h USING (host_id)") == [("host2", 2)]
    host.connected.close()


def test_a_silent_host_s_states_are_old(caller: Caller, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(caller, "host1", monkeypatch)
    assert rows("SELECT state, seen, silence FROM machine_states") == [("unknown", "off", None)]
    host.sees(Seen(REMUS, "running", 0.0))
    rows("ALTER TABLE host_signs DISABLE TRIGGER now")
    rows("UPDATE host_signs SET seen_at = now() - interval '40 s'")
    rows("ALTER TABLE host_signs ENABLE TRIGGER now")
    assert rows("SELECT state, seen, silence::integer FROM machine_states") == [("unknown", "running", 40)]
    host.connected.close()


def test_an_observer_writes_what_is_used(caller: Caller, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is placed there alone; twice in a minute is once, but drops add up."""
    monkeypatch.setattr(usage, "EVERY", 0.0)
    host = Host(caller, "host1", monkeypatch)
    ((number,),) = rows("SELECT machine_id FROM machines")
    for turn in range(4):
        metrics = {"cpu": 500 * turn, "memory": 130, "net_sent": 2048 * turn}
        host.eyes.used = {
            each: Counted(dict(metrics), dict.fromkeys(REASONS, 2 * turn)) for each in (number, number + 1)
        }
        host.sees()
    ((machine, cpu, memory, sent, slots),) = rows(
        "SELECT machine_id, cpu, memory, net_sent, cardinality(slots) FROM usage_minutes"
    )
    assert machine == number and slots in (1, 2)  # a minute may have ended meanwhile
    assert (cpu, memory, sent) == ([500] * slots, [130] * slots, [2] * slots)
    dropped = rows("SELECT machine_id, reason, sum(packets)::integer FROM usage_drops GROUP BY 1, 2")
    assert sorted(dropped) == sorted((number, reason, 6) for reason in REASONS)
    host.connected.close()


@pytest.mark.parametrize(
    "row",
    [
        "date_trunc('hour', now() - interval '1 hour', 'UTC'), '{0}'",
        "date_trunc('hour', now(), 'UTC'), '{60}'",
        "date_trunc('hour', now(), 'UTC'), '{NULL}'",
        "date_trunc('hour', now(), 'UTC'), '{1,2}'",
    ],
)
def test_a_host_writes_no_other_usage(caller: Caller, rows: Any, row: str) -> None:
    """Nothing of the past, and nothing that couldn't be summed up."""
    ones = ", ".join("'{1}'" for _ in usage.METRICS)
    refused(
        caller,
        ME,
        f"INSERT INTO usage_minutes (machine_id, host_id, begins, slots, {', '.join(usage.METRICS)})"
        f" SELECT machine_id, h.host_id, {row}, {ones} FROM machines, hosts h RETURNING 1",
    )


def test_a_day_is_summed_up_once_and_old_days_go(rows: Any) -> None:
    metrics = ", ".join(usage.METRICS)
    three = ", ".join("'{1,2,3}'" for _ in usage.METRICS)
    day = "date_trunc('day', now(), 'UTC') - interval '24 hours'"
    rows(
        f"INSERT INTO usage_minutes (machine_id, host_id, begins, slots, {metrics})"
        f" SELECT machine_id, hosts.host_id, {day} + interval '3 hours', '{{0,5,59}}', {three}"
        " FROM machines, hosts WHERE hosts.name = 'host1'"
    )
    rows("CREATE TABLE usage_parts.usage_minutes_20010101 PARTITION OF usage_minutes"
         " FOR VALUES FROM ('2001-01-01 00:00Z') TO ('2001-01-02 00:00Z')")  # fmt: skip
    for _ in range(2):
        rows(usage.KEEP)
        assert rows("SELECT slots, cpu, memory FROM usage_tens") == [([18, 23], [3, 3], [2, 3])]
        assert rows("SELECT cpu, memory FROM usage_days") == [([6], [3])]
    assert rows("SELECT to_regclass('usage_parts.usage_minutes_20010101')") == [(None,)]
    assert rows("SELECT count(*) FROM pg_inherits WHERE inhparent = 'usage_minutes'::regclass") == [(3,)]
    rows("DELETE FROM usage_tens")
    rows("DELETE FROM usage_days")
