"""Real Kerberos sign-on, with the pg_hba.conf and pg_ident.conf that the server package compiles."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from invirt import config
from invirt.base.errors import Unreachable
from invirt.database import connection
from invirt.database.ahead import Ahead
from invirt.database.asker import Asker
from tests.parts import postgres
from tests.parts.database.conftest import Caller
from tests.parts.realm import Realm


@pytest.mark.parametrize("hostname", ["remote.invirt.test", "remote2.invirt.test", "web.invirt.test"])
def test_a_server_signs_on_encrypted(caller: Caller, hostname: str) -> None:
    """Each remote server, and the web server, with its host's keytab."""
    kind = "web" if hostname.startswith("web.") else "remote"
    seen = caller.ask(
        f"host/{hostname}",
        kind,
        "SELECT current_user, gss_authenticated, encrypted FROM pg_stat_gssapi WHERE pid = pg_backend_pid()",
    )
    assert seen == [(f"invirt_{kind}.{hostname}", True, True)]


@pytest.mark.parametrize(
    ("principal", "role"),
    [
        ("alice", "remote"),
        ("alice", "host"),
        ("HTTP/web.invirt.test", "web"),
        ("host/host1.invirt.test", "web"),
        ("host/host1.invirt.test", "remote"),
        ("host/remote3.invirt.test", "remote"),
        ("remote.invirt.test", "remote"),
        ("host/HOST1.invirt.test", "host"),
        ("http/host1.invirt.test", "host"),
        ("host/kiosk.invirt.test", "host"),
    ],
)
def test_others_are_refused(caller: Caller, principal: str, role: str) -> None:
    """By the database server itself, and the client says so."""
    with pytest.raises(Unreachable, match="refuses invirt_"):
        caller.ask(principal, role, "SELECT 1")


@pytest.mark.parametrize("role", ["invirt", "postgres"])
def test_owner_comes_by_no_network(server: postgres.Cluster, caller: Caller, role: str) -> None:
    """Not even with a remote server's ticket."""
    caller.ask("host/remote.invirt.test", "remote", "SELECT 1")
    with pytest.raises(psycopg2.OperationalError, match="rejects connection"):
        psycopg2.connect(
            host="localhost", port=config.database.port, dbname="invirt", user=role, gssencmode="require"
        )


def test_unencrypted_is_refused(server: postgres.Cluster, caller: Caller) -> None:
    """Kerberos alone is not enough."""
    with pytest.raises(psycopg2.OperationalError, match="no pg_hba"):
        psycopg2.connect(
            host="localhost",
            port=config.database.port,
            dbname="invirt",
            user="invirt_remote",
            gssencmode="disable",
        )


def test_a_missing_keytab_is_told(server: postgres.Cluster, caller: Caller) -> None:
    """On the database server itself: no waiting helps."""
    keytab = server.folder / "postgres.keytab"
    keytab.rename(keytab.with_suffix(".away"))
    try:
        with pytest.raises(Unreachable, match="hangs up") as raised:
            caller.ask("host/remote.invirt.test", "remote", "SELECT 1")
    finally:
        keytab.with_suffix(".away").rename(keytab)
    assert "keytab, /etc/postgresql-common" in raised.value.hint


def test_the_socket_is_root_s(server: postgres.Cluster) -> None:
    """root comes as invirt by peer; as a server's role nobody does."""
    with closing(_through_socket(server, "invirt")) as opened:
        assert opened.info.user == "invirt"
    with pytest.raises(psycopg2.OperationalError, match="rejects connection"):
        _through_socket(server, "invirt_remote")


def _through_socket(server: postgres.Cluster, user: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(host=str(server.folder), port=server.port, dbname="invirt", user=user)


def test_a_fresh_connection_is_quick(caller: Caller) -> None:
    """With a ticket in the cache: some 10 ms; users wait for it at every command."""
    caller.ask("host/remote.invirt.test", "remote", "SELECT 1")
    times = []
    for _ in range(9):
        began = time.monotonic()
        caller.ask("host/remote.invirt.test", "remote", "SELECT 1")
        times.append(time.monotonic() - began)
    assert min(times) < 0.2, times


def test_a_known_host_sees_machines_and_itself(caller: Caller) -> None:
    """But not the other hosts."""
    me = "host/host1.invirt.test"
    assert caller.ask(me, "host", "SELECT name FROM machines") == [("remus",)]
    assert caller.ask(me, "host", "SELECT name FROM hosts") == [("host1",)]


def test_a_host_sees_its_own_reservations(server: postgres.Cluster, caller: Caller) -> None:
    """They say what may run on it."""
    server.run("INSERT INTO reservations SELECT machine_id, h.host_id, 64 FROM machines, hosts h", "invirt")
    for name in ("host1", "host2"):
        me = f"host/{name}.invirt.test"
        seen = caller.ask(me, "host", "SELECT name FROM reservations JOIN hosts USING (host_id)")
        assert seen == [(name,)]
        assert caller.ask(me, "host", "SELECT count(*) FROM reservations") == [(1,)]
    server.run("DELETE FROM reservations", "invirt")


@contextmanager
def frozen(realm: Realm) -> Iterator[None]:
    """A KDC that takes connections and says nothing."""
    assert realm.kdc
    realm.kdc.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        realm.kdc.send_signal(signal.SIGCONT)


def test_a_frozen_kdc_holds_up_no_daemon(
    caller: Caller, realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its questions end in time, its other threads go on, and it is back when the KDC is."""
    caller.ask("host/remote.invirt.test", "remote", "SELECT 1")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/cache")  # no tickets any more
    asker, ticks = Asker(1.0), Ticks()
    with frozen(realm), ticks:
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(Unreachable, match="in time"):
                asker.rows("SELECT 1")
            assert time.monotonic() - began < 5
    assert ticks.longest < 5, ticks.longest
    deadline = time.monotonic() + 20
    while True:
        try:
            assert asker.rows("SELECT 1") == [(1,)]
            break
        except Unreachable:
            assert time.monotonic() < deadline


class Ticks:
    """A thread that does nothing but look how long it was held up, in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(0.01):
            now = time.monotonic()
            self.longest, last = max(self.longest, now - last), now

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def test_a_session_made_ahead_is_used_as_long_as_its_ticket_lasts(caller: Caller, realm: Realm) -> None:
    """By the first to connect, once, and not after the ticket's end."""
    principal = "host/remote.invirt.test"
    caller.become(principal, "remote")
    made = Ahead("remote", lambda cursor: cursor.execute("SELECT 1"))
    assert 0 < made.seconds <= 86400 and made.is_alive()
    with closing(connection.connect()) as first, closing(connection.connect()) as second:
        assert first is made.connection and second is not first
        with connection.transaction(first) as cursor:
            cursor.execute("SELECT encrypted FROM pg_stat_gssapi WHERE pid = pg_backend_pid()")
            assert cursor.fetchone().encrypted
    assert not made.is_alive()
    Path(os.environ["KRB5CCNAME"].removeprefix("FILE:")).unlink()
    realm.limit(principal, 60)
    try:
        made = Ahead("remote", lambda cursor: cursor.execute("SELECT 1"))
        assert connection.ahead == [made.connection]
        assert 0 < made.seconds <= 60
        made.leave()
        assert not connection.ahead and made.connection.closed
    finally:
        realm.limit(principal, 86400)
        Path(os.environ["KRB5CCNAME"].removeprefix("FILE:")).unlink()
