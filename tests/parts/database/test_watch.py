"""A server that was taken over, against the database: what it tries is refused, ends, or does no harm."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from threading import Thread
from types import SimpleNamespace

import psycopg2
import psycopg2.errors
import pytest

from invirt import config
from invirt.base import identity
from invirt.base.errors import Unreachable
from invirt.database import administrators, connection, follow, roles, servers, watch
from tests.parts import postgres
from tests.parts.database.conftest import Caller, settle

HOST1, HOST2, REMOTE = "host/host1.invirt.test", "host/host2.invirt.test", "host/remote.invirt.test"


def open_as(caller: Caller, principal: str, kind: str) -> connection.Connection:
    """A session of principal's, committing each statement by itself."""
    caller.become(principal, kind)
    made = connection.connect()
    made.autocommit = True
    return made


def run(connected: connection.Connection, query: str) -> list[tuple[object, ...]]:
    with connected.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def turn(server: postgres.Cluster, caller: Caller) -> Iterator[watch.Watch]:
    """invirt-database-watch, that turns when it is told to."""
    with closing(server.superuser("invirt")) as connected, connected.cursor() as cursor:
        yield watch.Watch(cursor)


@pytest.mark.parametrize(
    "attack",
    [
        "SELECT pg_advisory_lock(n) FROM generate_series(1, 200000) n",
        "SELECT pg_try_advisory_xact_lock_shared(1, n) FROM generate_series(1, 200000) n",
        "SELECT pg_advisory_xact_lock(hashtextextended('remus', 0))",
        "SELECT take_turn('remus')",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT lo_create(0)",
        "SELECT pg_current_xact_id()",
        "SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000))",
        "SELECT pg_export_snapshot()",
        "CREATE TEMP TABLE x (y text)",
        "DO 'BEGIN END'",
        "SET temp_file_limit = -1",
        "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
    ],
)
def test_what_no_server_needs_is_refused(caller: Caller, attack: str) -> None:
    with (
        closing(open_as(caller, HOST1, "host")) as taken,
        pytest.raises(psycopg2.errors.InsufficientPrivilege),
    ):
        run(taken, attack)
    assert caller.ask(HOST2, "host", "SELECT name FROM machines") == [("remus",)]


def test_a_server_sees_nobody_else_s_queries(caller: Caller) -> None:
    """Nor its own kind's."""
    with closing(open_as(caller, HOST2, "host")) as other, closing(open_as(caller, HOST1, "host")) as taken:
        run(other, "SELECT 'secret of host2'")
        seen = run(taken, "SELECT query FROM pg_stat_activity WHERE usename LIKE 'invirt_host.host2%'")
    assert seen == [("<insufficient privilege>",)]


def test_sessions_of_a_server_have_a_limit(caller: Caller) -> None:
    """Others come in as before."""
    with ExitStack() as opened:
        for _ in range(roles.SERVERS["host"]):
            opened.enter_context(closing(open_as(caller, HOST1, "host")))
        with pytest.raises(Unreachable, match="too many connections for role"):
            open_as(caller, HOST1, "host")
        assert caller.ask(HOST2, "host", "SELECT name FROM machines") == [("remus",)]


def is_open(connected: connection.Connection) -> bool:
    try:
        run(connected, "SELECT 1")
    except (psycopg2.OperationalError, psycopg2.InterfaceError):
        return False
    return True


def test_who_idles_in_a_transaction_is_ended(
    server: postgres.Cluster, caller: Caller, turn: watch.Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it sets itself; listeners outside of transactions and administrators are not."""
    with (
        closing(open_as(caller, HOST1, "host")) as taken,
        closing(open_as(caller, HOST1, "host")) as listener,
        closing(server.superuser("invirt")) as administrator,
    ):
        run(listener, "LISTEN nics")
        for one in (taken, administrator):
            run(one, "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0")
            run(one, "BEGIN")
            run(one, "LISTEN nics; SELECT FROM types")
        turn.turn()
        assert is_open(taken)
        monkeypatch.setattr(watch, "TRANSACTIONS", 0)
        turn.turn()
        assert not is_open(taken)
        assert is_open(listener) and is_open(administrator)


def test_a_statement_without_end_is_ended(
    caller: Caller, turn: watch.Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[bool] = []
    with closing(open_as(caller, HOST1, "host")) as taken:
        sleeping = Thread(target=lambda: ended.append(is_open_after(taken, "SELECT pg_sleep(9)")))
        sleeping.start()
        monkeypatch.setattr(watch, "STATEMENTS", 0)
        deadline = time.monotonic() + 20
        while not ended and time.monotonic() < deadline:
            turn.turn()
        sleeping.join(20)
    assert ended == [False]


def is_open_after(connected: connection.Connection, query: str) -> bool:
    try:
        run(connected, query)
    except psycopg2.OperationalError:
        return False
    return True


def test_who_holds_too_many_locks_is_ended(caller: Caller, turn: watch.Watch) -> None:
    """Each part of a transaction that writes takes one."""
    with (
        closing(open_as(caller, REMOTE, "remote")) as taken,
        closing(open_as(caller, REMOTE, "remote")) as other,
    ):
        part = "SAVEPOINT x; INSERT INTO audit (principal, command, outcome) VALUES ('x', 'x', 'x');"
        run(other, "BEGIN")
        run(other, part * 100)
        run(taken, "BEGIN")
        run(taken, part * (watch.LOCKS + 10))
        turn.turn()
        assert not is_open(taken)
        assert is_open(other)


def test_temporary_files_have_an_end(caller: Caller) -> None:
    with (
        closing(open_as(caller, HOST1, "host")) as taken,
        pytest.raises(psycopg2.errors.ConfigurationLimitExceeded, match="temp_file_limit"),
    ):
        run(taken, "SELECT count(*) FROM generate_series(1, 8000000)")


def test_a_host_comes_and_goes(server: postgres.Cluster, caller: Caller, turn: watch.Watch) -> None:
    """Its sessions end with it, even those that it began by the way of the version before."""
    new = "host/host3.invirt.test"
    with pytest.raises(Unreachable, match="refuses"):
        caller.ask(new, "host", "SELECT 1")
    server.run(
        "INSERT INTO hosts (name, hostname, memory) VALUES ('host3', 'host3.invirt.test', 1)", "invirt"
    )
    settle(server)
    with closing(open_as(caller, new, "host")) as own, pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "own_database_role", lambda kind: f"invirt_{kind}")
        with (
            closing(open_as(caller, new, "host")) as before,
            closing(open_as(caller, HOST1, "host")) as other,
        ):
            server.run("DELETE FROM hosts WHERE name = 'host3'", "invirt")
            turn.turn()
            assert [is_open(one) for one in (own, before, other)] == [False, False, True]
    with pytest.raises(Unreachable):
        caller.ask(new, "host", "SELECT 1")


def test_administrators_of_invirt_yaml_come_and_go(
    server: postgres.Cluster, turn: watch.Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom invirt-admin has added stay, also when they stood in both."""
    server.run("INSERT INTO administrators (principal) VALUES ('added/admin@INVIRT.TEST')", "invirt")

    def named(*principals: str) -> list[str]:
        site = dataclasses.replace(config.site, administrators=principals)
        monkeypatch.setattr(administrators, "config", SimpleNamespace(site=site))
        turn.turn()
        with closing(server.superuser("invirt")) as connected, connected.cursor() as cursor:
            cursor.execute("SELECT principal FROM administrators ORDER BY 1")
            return [row[0] for row in cursor.fetchall()]

    assert named("added/admin@INVIRT.TEST", "root/admin@INVIRT.TEST") == [
        "added/admin@INVIRT.TEST",
        "root/admin@INVIRT.TEST",
    ]
    assert named() == ["added/admin@INVIRT.TEST"]


def test_long_names_have_roles_of_their_own(caller: Caller) -> None:
    """PostgreSQL would cut them."""
    made = [identity.database_role("host", f"{'a' * 60}.{end}.invirt.test") for end in "xy"]
    assert len(set(made)) == 2 and max(map(len, made)) <= 63


def test_a_server_s_name_is_its_keytab_s(caller: Caller) -> None:
    caller.become(HOST2, "host")
    assert identity.own_database_role("host") == "invirt_host.host2.invirt.test"
    assert servers.Server("host", "host2.invirt.test").role == identity.own_database_role("host")


def test_a_storm_of_words_costs_a_follower_few_looks(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks anew, but not at each; and none is believed."""

    class Over(Exception):
        """The test ends."""

    looks: list[float] = []
    with closing(open_as(caller, HOST1, "host")) as taken:
        caller.become(HOST2, "host")

        def look(connected: connection.Connection) -> None:
            looks.append(time.monotonic())
            if len(looks) == 1:
                storm.start()
            if not storm.is_alive():
                raise Over

        def blow() -> None:
            for _ in range(20):
                run(taken, "SELECT pg_notify('nics', n || repeat('x', 7900)) FROM generate_series(1, 100) n")

        storm = Thread(target=blow)
        with pytest.raises(Over):
            follow.follow("nics", 60, look)
    assert len(looks) <= (looks[-1] - looks[0]) / follow.GATHER + 2
