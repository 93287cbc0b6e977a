"""Real Kerberos sign-on, with the pg_hba.conf and pg_ident.conf that the server package compiles."""

from __future__ import annotations

import pwd
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from invirt import config
from invirt.base import templates
from invirt.base.errors import Unreachable
from invirt.database import connection
from invirt.database.asker import Asker
from tests.parts import postgres
from tests.parts.realm import Realm

CONFIG = """\
site: {{domain: invirt.test, realm: INVIRT.TEST}}
database: {{hostname: localhost, port: {port}, connect_timeout: 3, statement_timeout: 10}}
remote: {{hostname: remote.invirt.test, servers: [remote.invirt.test, remote2.invirt.test]}}
"""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _server_files(folder: Path, realm: Realm, checkout: Path) -> None:
    """Configuration, krb5.conf and keytab where user postgres can read them."""
    made = checkout / "invirt-database/files/etc/invirt/postgresql"
    for name in ("pg_hba.conf", "pg_ident.conf"):
        (folder / name).write_text(templates.render(made / f"{name}.mako"))
    # The harness has no root-to-postgres sudo: it comes through the socket as itself.
    hba = (folder / "pg_hba.conf").read_text()
    (folder / "trust_hba.conf").write_text("local all postgres trust\n" + hba)
    shutil.copy(realm.folder / "krb5.conf", folder)
    shutil.copy(realm.keytab("postgres/localhost"), folder / "postgres.keytab")
    account = pwd.getpwnam("postgres")
    for file in folder.iterdir():
        shutil.chown(file, account.pw_uid, account.pw_gid)


@pytest.fixture(scope="module")
def server(realm: Realm, checkout: Path) -> Iterator[postgres.Cluster]:
    """A PostgreSQL on loopback that lets in whom a production server would."""
    folder = Path(tempfile.mkdtemp(prefix="invirt-pg-"))
    port = _free_port()
    file = folder / "invirt.yaml"
    file.write_text(CONFIG.format(port=port))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVIRT_CONFIG", str(file))
        config.reload()
        _server_files(folder, realm, checkout)
        settings = {
            **postgres.SETTINGS,
            "listen_addresses": "localhost",
            "hba_file": str(folder / "trust_hba.conf"),
            "ident_file": str(folder / "pg_ident.conf"),
            "krb_server_keyfile": str(folder / "postgres.keytab"),
        }
        environment = {"PATH": "/usr/bin:/bin", "KRB5_CONFIG": str(folder / "krb5.conf")}
        started = postgres.start(folder, settings, environment=environment, port=port)
        try:
            postgres.migrate(started, "invirt")
            _fill(started)
            yield started
        finally:
            postgres.stop(started)
    config.reload()


def _fill(server: postgres.Cluster) -> None:
    for query in (
        "INSERT INTO types (name, virt) VALUES ('linux', 'pvh')",
        "INSERT INTO owners (name, memory, disk, machines) VALUES ('alice', 1024, 10, 4)",
        "INSERT INTO machines (name, owner_id, type_id, memory) SELECT 'remus', owner_id, type_id, 64"
        " FROM owners, types",
        "INSERT INTO hosts (name, hostname, memory) VALUES ('host1', 'host1.invirt.test', 1024),"
        " ('host2', 'host2.invirt.test', 1024)",
    ):
        server.run(query, "invirt")


class Caller:
    """Comes to the server as one principal after another."""

    def __init__(self, realm: Realm, patch: pytest.MonkeyPatch) -> None:
        self.realm, self.patch = realm, patch

    def ask(self, principal: str, role: str, query: str) -> list[tuple[object, ...]]:
        """The rows of query, asked with principal's keytab as role."""
        cache = self.realm.folder / ("pg-" + principal.replace("/", "-"))
        self.patch.setenv("KRB5_CONFIG", str(self.realm.folder / "krb5.conf"))
        self.patch.setenv("KRB5_CLIENT_KTNAME", str(self.realm.keytab(principal)))
        self.patch.setenv("KRB5CCNAME", f"FILE:{cache}")
        connection.role = role
        with connection.transaction() as cursor:
            cursor.execute(query)
            return [tuple(row) for row in cursor.fetchall()]


@pytest.fixture
def caller(server: postgres.Cluster, realm: Realm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    """Whose tickets come from keytabs, as a server's do."""
    monkeypatch.setenv("INVIRT_CONFIG", str(server.folder / "invirt.yaml"))
    config.reload()
    yield Caller(realm, monkeypatch)
    connection.role = None


@pytest.mark.parametrize("hostname", ["remote.invirt.test", "remote2.invirt.test"])
def test_remote_signs_on_encrypted(caller: Caller, hostname: str) -> None:
    """Each remote server, with its host's keytab."""
    seen = caller.ask(
        f"host/{hostname}",
        "remote",
        "SELECT current_user, gss_authenticated, encrypted FROM pg_stat_gssapi WHERE pid = pg_backend_pid()",
    )
    assert seen == [("invirt_remote", True, True)]


@pytest.mark.parametrize(
    ("principal", "role"),
    [
        ("alice", "remote"),
        ("alice", "host"),
        ("host/host1.invirt.test", "remote"),
        ("host/remote3.invirt.test", "remote"),
        ("remote.invirt.test", "remote"),
        ("host/HOST1.invirt.test", "host"),
        ("http/host1.invirt.test", "host"),
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


def test_an_unknown_host_sees_nothing(caller: Caller) -> None:
    """Any computer of the realm has a host's principal; being a host is a row."""
    stranger = "host/kiosk.invirt.test"
    for table in ("machines", "hosts", "types", "nics", "disks", "cdroms", "autoinstalls"):
        assert caller.ask(stranger, "host", f"SELECT * FROM {table}") == []


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
