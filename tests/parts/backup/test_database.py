"""The database, dumped and put back in place of a newer one, with the real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest

from invirt.backup import database as part
from invirt.backup.archive import Content
from invirt.base.errors import InvirtError
from invirt.database import connection, schema, server
from tests.parts.database.rows import machine, site
from tests.parts.postgres import Cluster, Database

NAMES = "SELECT string_agg(name, ' ' ORDER BY name) FROM machines"


@pytest.fixture
def here(cluster: Cluster, database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """This test's cluster is the one of this server."""
    monkeypatch.setattr(connection, "LOCAL_SOCKET", str(cluster.folder))
    return database


def test_it_is_as_it_was(here: Database, cluster: Cluster, tmp_path: Path) -> None:
    """But for what hosts have to tell anew, and numbers that were given since; the newer one is kept."""
    site(here)
    machine(here, "remus", ip="10.5.0.12", mac="02:00:00:00:00:01")
    here.execute("INSERT INTO host_signs (host_id) SELECT host_id FROM hosts")
    content = Content()
    (tmp_path / "database").mkdir()
    part.save(content, tmp_path / "database")
    assert content.about == {"schema": schema.newest()}
    machine(here, "romulus")
    ((given,),) = here.execute("SELECT max(machine_id) FROM machines")
    rights = "SELECT oid::regclass::text, relacl::text FROM pg_class WHERE relname = 'machines' ORDER BY 1"
    before = here.execute(rights)
    with busy(here):
        old = part.put(tmp_path)
    try:
        here.kept.clear()
        assert here.execute(NAMES) == [("remus",)]
        assert here.execute("SELECT count(*) FROM host_signs") == [(0,)]
        assert here.execute(rights) == before
        machine(here, "romulus")
        ((number,),) = here.execute("SELECT max(machine_id) FROM machines")
        assert number > given + 900  # type: ignore[operator]
        assert server.psql(NAMES, old) == "remus romulus"
    finally:
        cluster.run(f"DROP DATABASE {old} WITH (FORCE)")


def test_one_that_cannot_be_loaded_leaves_the_old(here: Database, tmp_path: Path) -> None:
    site(here)
    machine(here, "remus")
    content = Content()
    (tmp_path / "database").mkdir()
    part.save(content, tmp_path / "database")
    dump = tmp_path / part.DUMP
    dump.write_bytes(dump.read_bytes()[:-20000])
    with pytest.raises(InvirtError):
        part.put(tmp_path)
    assert here.execute(NAMES) == [("remus",)]


def test_newer_tables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "is_here", lambda: True)
    part.fits({"schema": schema.newest() or ""})
    with pytest.raises(InvirtError, match="know less"):
        part.fits({"schema": "9999"})


def test_one_that_a_killed_restore_has_closed_is_opened(
    here: Database, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "is_here", lambda: True)
    site(here)
    here.close()
    cluster.run(f"ALTER DATABASE {here.name} ALLOW_CONNECTIONS false")
    assert part.lives()
    here.kept.clear()
    assert here.execute("SELECT count(*) FROM hosts") == [(2,)]


@contextmanager
def busy(database: Database) -> Iterator[None]:
    """Servers that connect again at once, whatever becomes of them."""
    done = threading.Event()

    def come_again() -> None:
        while not done.is_set():
            with suppress(psycopg2.Error), closing(database.connect()) as connected:
                while not done.is_set():
                    connected.cursor().execute("SELECT pg_sleep(0.001)")

    threads = [threading.Thread(target=come_again) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
