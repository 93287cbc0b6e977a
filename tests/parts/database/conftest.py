"""A PostgreSQL that lets in whom a production server would, by Kerberos, and who comes to it."""

from __future__ import annotations

import pwd
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from invirt import config
from invirt.base import templates
from invirt.database import connection, servers
from tests.parts import postgres
from tests.parts.realm import Realm, loopback

CONFIG = """\
site: {{domain: invirt.test, realm: INVIRT.TEST}}
database: {{hostname: localhost, port: {port}, connect_timeout: 3, statement_timeout: 10}}
remote: {{hostname: remote.invirt.test, servers: [remote.invirt.test, remote2.invirt.test]}}
web: {{hostname: web.invirt.test}}
"""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _server_files(folder: Path, realm: Realm, checkout: Path) -> None:
    """Configuration, krb5.conf and keytab where user postgres can read them."""
    made = checkout / "invirt-database/files/etc/invirt/postgresql"
    (folder / "pg_hba.conf").write_text(templates.render(made / "pg_hba.conf.mako"))
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
    folder = postgres.new_folder()
    port = _free_port()
    file = folder / "invirt.yaml"
    file.write_text(CONFIG.format(port=port))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVIRT_CONFIG", str(file))
        config.reload()
        patch.setattr(servers, "IDENT", folder / "pg_ident.conf")
        servers.write(servers.ident([]))
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
            settle(started)
            yield started
        finally:
            postgres.stop(started)
    config.reload()


def settle(server: postgres.Cluster) -> None:
    """Let known servers in, as invirt-database-watch does, and wait until PostgreSQL has read it."""
    with closing(server.superuser("invirt")) as connected, connected.cursor() as cursor:
        servers.settle(cursor, anew=True)
        wanted = servers.IDENT.read_text().count('"host/')
        deadline = time.monotonic() + 20
        while True:
            cursor.execute("SELECT count(*) FROM pg_ident_file_mappings WHERE sys_name LIKE 'host/%'")
            if cursor.fetchone() == (wanted,):
                break
            assert time.monotonic() < deadline


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

    def become(self, principal: str, role: str) -> None:
        """This process has principal's keytab, and is a server of role's kind."""
        cache = self.realm.folder / ("pg-" + principal.replace("/", "-"))
        self.patch.setenv("KRB5_CONFIG", str(self.realm.folder / "krb5.conf"))
        self.patch.setenv("KRB5_CLIENT_KTNAME", str(self.realm.keytab(principal)))
        self.patch.setenv("KRB5CCNAME", f"FILE:{cache}")
        connection.role = role

    def ask(self, principal: str, role: str, query: str) -> list[tuple[object, ...]]:
        """The rows of query, asked by principal."""
        self.become(principal, role)
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


@pytest.fixture
def copy(server: postgres.Cluster, realm: Realm) -> Iterator[tuple[postgres.Cluster, str]]:
    """A copy by PostgreSQL's own means, that follows the database; and its name, an address."""
    address, folder = loopback(), postgres.new_folder()
    for name in ("pg_hba.conf", "trust_hba.conf", "krb5.conf", "pg_ident.conf"):
        shutil.copy(server.folder / name, folder)
    keytab = realm.keytab(f"postgres/{address}")
    shutil.copy(keytab, folder / "postgres.keytab")
    for file in folder.iterdir():
        shutil.chown(file, "postgres", "postgres")
    hba = server.folder / "trust_hba.conf"
    hba.write_text(f"local replication postgres trust\n{hba.read_text()}")
    server.run("SELECT pg_reload_conf()")
    where = ["-h", str(server.folder), "-p", str(server.port), "-U", "postgres"]
    settings = {
        **postgres.SETTINGS,
        "listen_addresses": address,
        "hba_file": str(folder / "trust_hba.conf"),
        "ident_file": str(folder / "pg_ident.conf"),
        "krb_server_keyfile": str(folder / "postgres.keytab"),
    }
    environment = {"PATH": "/usr/bin:/bin", "KRB5_CONFIG": str(folder / "krb5.conf")}
    made = postgres.start(
        folder,
        settings,
        environment=environment,
        port=server.port,
        backup=[*where, "-R", "-c", "fast", "-X", "fetch"],
    )
    file = folder / "invirt.yaml"
    text = CONFIG.format(port=server.port).replace(
        "hostname: localhost", f"hostname: localhost, copies: [{address}]"
    )
    file.write_text(text)
    try:
        yield made, address
    finally:
        postgres.stop(made)


@pytest.fixture
def several(copy: tuple[postgres.Cluster, str], caller: Caller, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """As a server whose invirt.yaml names both."""
    monkeypatch.setenv("INVIRT_CONFIG", str(copy[0].folder / "invirt.yaml"))
    config.reload()
    monkeypatch.setattr(connection.Last, "server", "")
    return caller
