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
from invirt.host.usage import columns as measured
from invirt.host.watching import Seen
from invirt.remote import listing
from tests.parts import postgres
from tests.parts.database.conftest import Caller

ME, OTHER = "host/host1.invirt.test", "host/host2.invirt.test"
CLEAN = "DELETE FROM {}"
WRITTEN = ("guest_states", "host_signs", "usage_minutes", "usage_tens", "usage_days", "reservations")
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
        server.run("; ".join(map(CLEAN.format, WRITTEN)), "invirt")

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
        self.ended: list[DomainName] = []
        self.outdated: list[int] = []
        self.told = {"accelerator": "tcg", "reason": "x" * 300}
        self.observer = Observer(
            self.eyes, lambda: self.told, self.ended.append, self.outdated.append, f"{name}.invirt.test"
        )

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
    assert rows("SELECT accelerator, reason FROM host_signs") == [("tcg", "x" * 200)]

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


def test_one_that_was_lost_ends_its_guests_first(
    caller: Caller, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first word with the database; and it writes no guest of its own any more."""
    host = Host(caller, "host1", monkeypatch)
    host.sees(Seen(REMUS, "running", time.time()), Seen(DomainName("d_other"), "off", time.time(), "crash"))
    assert host.ended == []
    rows("SELECT lose_host(host_id, 'root: its power is off') FROM hosts WHERE name = 'host1'")
    host.sees(Seen(REMUS, "running", time.time()), Seen(DomainName("d_other"), "off", time.time(), "crash"))
    assert host.ended == [REMUS]
    [(token,)] = rows("SELECT last_value FROM operation_token")
    host.sees(Seen(DomainName("d_other"), "off", time.time(), "crash"))
    assert host.outdated == [token], "once: commands that come since then are meant as ever"
    assert rows("SELECT state, why FROM guest_states") == [("off", "host")]
    assert rows(
        "SELECT state FROM machine_states WHERE machine_id IN (SELECT machine_id FROM guest_states)"
    ) == [("off",)]
    host.connected.close()
    rows("UPDATE hosts SET lost_at = NULL, lost_by = NULL")  # the database is the next test's, too


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


def test_a_guest_that_stops_and_goes_on_is_written_seldom(
    caller: Caller, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it does; what is so in the end is written."""
    pause, host = observer.PAUSE, Host(caller, "host1", monkeypatch)
    written, write = [], host.observer._write
    monkeypatch.setattr(observer, "PAUSE", pause)
    monkeypatch.setattr(host.observer, "_write", lambda *seen: (written.append(seen), write(*seen)))
    turns, began = 0, time.monotonic()
    while time.monotonic() < began + 4 * pause:
        host.sees(Seen(REMUS, ("running", "paused")[turns % 2], 0.0))
        turns += 1
    assert 1 < len(written) <= (time.monotonic() - began) / pause + 1
    time.sleep(pause)
    host.sees(Seen(REMUS, "paused", 0.0))
    assert rows("SELECT state FROM guest_states") == [("paused",)]
    host.connected.close()


def test_a_database_that_was_gone_hears_all_again(
    caller: Caller, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(caller, "host1", monkeypatch)
    host.sees(Seen(REMUS, "running", 0.0))
    rows(f"SELECT pg_terminate_backend({host.connected.get_backend_pid()})")
    with pytest.raises(psycopg2.Error):
        host.sees(Seen(REMUS, "paused", 0.0))
    rows("DELETE FROM guest_states")
    host.connected = connection.connect()
    host.connected.autocommit = True
    host.sees(Seen(REMUS, "running", 0.0))
    assert rows("SELECT state, silence < 15 FROM machine_states") == [("running", True)]
    host.connected.close()


FLOODS = (
    "INSERT INTO guest_states SELECT n, host_id, 'running', NULL, now()"
    " FROM generate_series(1, 100000) n, hosts",
    "INSERT INTO host_signs (host_id) SELECT n FROM generate_series(1, 100000) n",
    "INSERT INTO usage_minutes SELECT n, host_id, date_trunc('hour', now(), 'UTC'), '{0}',"
    " array_fill(1, '{10}') FROM generate_series(1, 100000) n, hosts",
)


def test_a_host_that_floods_has_its_own_rows_alone(
    caller: Caller, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It signs on as itself, and writes as fast as it can; what others wrote stays, and no table grows."""
    other = Host(caller, "host2", monkeypatch)
    other.sees()
    caller.become(ME, "host")
    ((number,),) = rows("SELECT machine_id FROM machines")
    with closing(connection.connect()) as connected, connected.cursor() as cursor:
        connected.autocommit = True
        for flood in FLOODS:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(flood)
        before = rows("SELECT s.* FROM host_signs s JOIN hosts USING (host_id) WHERE name = 'host2'")
        cursor.execute(CLAIM.format("running"))
        told = {"strangers": 0, "load": 0.5, "accelerator": "kvm", "reason": None}
        cursor.execute(observer.ALIVE, {"host": "host1.invirt.test", **told})
        used = _used(number)
        for turn in range(500):
            cursor.execute("UPDATE guest_states SET since = now() - random() * interval '1 hour'")
            cursor.execute("UPDATE host_signs SET strangers = 2147483647")
            if turn % 50 == 0:
                cursor.execute(observer.USED, used)
    assert rows("SELECT s.* FROM host_signs s JOIN hosts USING (host_id) WHERE name = 'host2'") == before
    assert rows("SELECT count(*) FROM guest_states") == [(1,)]
    assert rows("SELECT sum(cardinality(slots)) <= 2 FROM usage_minutes") == [(True,)]
    [(size,)] = rows("SELECT pg_relation_size('guest_states') + pg_relation_size('host_signs')")
    assert size <= 1 << 15  # bytes
    other.connected.close()


def _used(number: int) -> dict[str, Any]:
    most = Counted(dict.fromkeys(usage.METRICS, 2147483647), dict.fromkeys(REASONS, 2147483647))
    return {"host": "host1.invirt.test", **measured({number: most})}


@pytest.mark.parametrize("wrong", [-400 * 86400, 400 * 86400])
def test_a_host_s_clock_may_be_wrong(
    caller: Caller, rows: Any, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    """Ages count.  One that is set while a guest runs makes its age wrong, and nothing else."""
    host, right = Host(caller, "host1", monkeypatch), time.time
    monkeypatch.setattr(time, "time", lambda: right() + wrong)
    host.sees(Seen(REMUS, "running", time.time() - 40))
    told = "SELECT state, silence < 15, extract(epoch FROM now() - since) FROM machine_states"
    ((state, awake, age),) = rows(told)
    assert (state, awake) == ("running", True) and 39 < age < 400
    seen = Seen(REMUS, "running", time.time() - 40)
    monkeypatch.setattr(time, "time", right)
    host.sees(seen)
    ((state, awake, age),) = rows(told)
    assert (state, awake, age >= 0) == ("running", True, True)
    host.connected.close()


def test_what_two_hosts_see_is_told_and_changes_nothing(
    caller: Caller, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the other has memory reserved for it or not."""
    seen, home = Seen(REMUS, "running", 0.0), rows("SELECT host_id FROM machines")
    hosts = [Host(caller, name, monkeypatch) for name in ("host1", "host2")]
    for host in hosts:
        host.sees(seen)
    assert rows(listing.ALARMS) == [("host2 runs guests that have no reservation there: 1",)]
    rows(PLACE.format("host2"))
    hosts[1].sees()
    hosts[1].sees(seen)
    assert rows(listing.ALARMS) == [("remus is said to run on host1 and on host2",)]
    assert rows("SELECT host_id FROM machines") == home
    assert rows("SELECT state FROM guest_states") == [("running",)] * 2
    for host in hosts:
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
    samples = rows("SELECT machine_id, cpu, memory, net_sent, seconds FROM usage")
    assert set(samples) == {(number, 500, 130, 2, 60)}
    assert len(samples) in (1, 2)  # a minute may have ended meanwhile
    dropped = rows("SELECT machine_id, reason, packets FROM usage_drops")
    assert sorted(dropped) == sorted((number, reason, 2 * len(samples)) for reason in REASONS)
    host.connected.close()


@pytest.mark.parametrize(
    ("begins", "slots", "used"),
    [
        ("now() - interval '1 hour'", "{0}", "{1,1,1,1,1,1,1,1,1,1}"),
        ("now()", "{60}", "{1,1,1,1,1,1,1,1,1,1}"),
        ("now()", "{-1}", "{1,1,1,1,1,1,1,1,1,1}"),
        ("now()", "{NULL}", "{1,1,1,1,1,1,1,1,1,1}"),
        ("now()", "{1,2}", "{1,1,1,1,1,1,1,1,1,1}"),
        ("now()", "{{1},{2}}", "{{1,1,1,1,1,1,1,1,1,1},{1,1,1,1,1,1,1,1,1,1}}"),
        ("now()", "[5:5]={1}", "{1,1,1,1,1,1,1,1,1,1}"),
        ("now()", "{1}", "{1,1,1,1,1,1,1,1,1,-1}"),
        ("now()", "{1}", "{1,1,1,1,1,1,1,1,1,NULL}"),
    ],
)
def test_a_host_writes_no_other_usage(caller: Caller, rows: Any, begins: str, slots: str, used: str) -> None:
    """Nothing of the past, and nothing that couldn't be summed up."""
    refused(
        caller,
        ME,
        "INSERT INTO usage_minutes (machine_id, host_id, begins, slots, used)"
        f" SELECT machine_id, h.host_id, date_trunc('hour', {begins}, 'UTC'), '{slots}', '{used}'"
        " FROM machines, hosts h RETURNING 1",
    )


WRITE = """
INSERT INTO usage_minutes (machine_id, host_id, begins, slots, used, drops)
SELECT machine_id, h.host_id, {0}, '{{0,5,59}}', '{{{1}}}', array_fill({2}, '{{15}}')
FROM machines, hosts h
"""
SUMMED = "SELECT at = {}, cpu, memory, dropped FROM usage WHERE seconds = {} ORDER BY at"


def test_what_is_old_is_summed_up_once_and_goes(rows: Any) -> None:
    """Here two hosts have written of it, one of them what no sum can hold."""
    used = ",".join(["1,2,3,4,5,6,7,8,9,10"] * 2 + ["7,7,7,7,7,7,7,7,7,2147483647"])
    hour = "date_trunc('day', now(), 'UTC') - interval '45 hours'"
    rows(f"SELECT usage_part('usage_minutes', {hour}, {hour} + interval '1 hour')")
    rows(WRITE.format(hour, used, 2000000000))
    for table, days in (("usage_minutes", 2), ("usage_tens", 33), ("usage_days", 400)):
        at = f"date_trunc('month', now() - interval '{days} days', 'UTC')"
        rows(f"SELECT usage_part('{table}', {at}, {at} + interval '1 hour')")
    for _ in range(2):
        rows(usage.KEEP)
        tens = rows(SUMMED.format(hour, 600))
        assert tens == [(True, 4, 2, 40), (False, 14, 7, 2147483647)]
        day = "date_trunc('day', now(), 'UTC') - interval '48 hours'"
        assert rows(SUMMED.format(day, 86400)) == [(True, 18, 7, 2147483647)]
        assert rows("SELECT seconds, min(packets), count(*) FROM usage_drops GROUP BY 1 ORDER BY 1") == [
            *((3600, 2147483647, 15), (86400, 2147483647, 15))
        ]
    parts = dict(rows("SELECT inhparent::regclass::text, count(*) FROM pg_inherits GROUP BY 1"))
    assert parts["usage_minutes"] in (25, 26) and parts["usage_tens"] == 3 and parts["usage_days"] in (2, 3)
