"""A database that may be on one of several servers: whoever has it is found, and no copy is taken for it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from invirt import config
from invirt.base.errors import Unreachable
from invirt.database import connection, reach
from tests.parts import postgres
from tests.parts.database.conftest import CONFIG, Caller
from tests.parts.realm import Realm, loopback
from tests.parts.waiting import until

WHERE = "SELECT host(inet_server_addr()), pg_is_in_recovery()"
ME = "host/remote.invirt.test"


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
    backup = [
        "-h",
        str(server.folder),
        "-p",
        str(server.port),
        "-U",
        "postgres",
        "-R",
        "-c",
        "fast",
        "-X",
        "fetch",
    ]
    settings = {
        **postgres.SETTINGS,
        "listen_addresses": address,
        "hba_file": str(folder / "trust_hba.conf"),
        "ident_file": str(folder / "pg_ident.conf"),
        "krb_server_keyfile": str(folder / "postgres.keytab"),
    }
    environment = {"PATH": "/usr/bin:/bin", "KRB5_CONFIG": str(folder / "krb5.conf")}
    made = postgres.start(folder, settings, environment=environment, port=server.port, backup=backup)
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


def test_the_one_that_has_it_is_found(
    server: postgres.Cluster, copy: tuple[postgres.Cluster, str], several: Caller
) -> None:
    """While both answer, while none has it, and once the copy was made the database."""
    made, address = copy
    assert several.ask(ME, "remote", WHERE) == [("127.0.0.1", False)]
    connection.Last.server = address  # a copy by now, say
    assert several.ask(ME, "remote", WHERE) == [("127.0.0.1", False)]
    with postgres.frozen(server):
        began = time.monotonic()
        with pytest.raises(Unreachable):
            several.ask(ME, "remote", WHERE)
        assert time.monotonic() - began < 2 * config.database.connect_timeout + 2
        made.run("SELECT pg_promote()")
        assert several.ask(ME, "remote", WHERE) == [(address, False)], "a server that is silent is gone past"
        began = time.monotonic()
        assert several.ask(ME, "remote", WHERE) == [(address, False)]
        assert time.monotonic() - began < 1, "it is asked first from now on"
        connection.Last.server = ""
        with closing(reach.connect(20)) as connected, connected.cursor() as cursor:
            cursor.execute(WHERE)
            assert cursor.fetchone() == (address, False)


def test_what_follows_is_read_only(server: postgres.Cluster, copy: tuple[postgres.Cluster, str]) -> None:
    """What is committed is there; a copy takes no changes."""
    made, _ = copy
    server.run("INSERT INTO owners (name, memory, disk, machines) VALUES ('eva', 1024, 10, 4)", "invirt")
    with closing(made.superuser("invirt")) as connected, connected.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        assert cursor.fetchone() == (True,)

        def arrived() -> bool:
            cursor.execute("SELECT count(*) FROM owners WHERE name = 'eva'")
            return cursor.fetchone() == (1,)

        until(arrived)
    server.run("DELETE FROM owners WHERE name = 'eva'", "invirt")
