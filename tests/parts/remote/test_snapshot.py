"""remconffs' snapshot on a real database: made anew when the counter moved, and only then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from invirt.base.errors import InvirtError
from invirt.database import connection
from invirt.remote.remconffs import RemConf
from tests.parts.owned import machine, owner
from tests.parts.postgres import Cluster, Database


class Counted:
    """connection.connect, counted."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Any:
        self.times += 1
        return connection.connect()


@pytest.fixture
def tree(database: Database) -> RemConf:
    """The tree over a database with owner alice and machine remus."""
    connection.role = "remote"
    owner(database, "alice")
    database.execute("INSERT INTO types (name, virt) VALUES ('linux', 'pvh')")
    machine(database, "remus")
    return RemConf(Counted())


def test_one_snapshot_as_long_as_nothing_moves(tree: RemConf, database: Database) -> None:
    first = tree.snapshot()
    database.execute("UPDATE machines SET memory = 256")  # nobody's access
    assert tree.snapshot() is first
    machine(database, "romulus")
    assert tree.snapshot() is not first
    assert list(tree.list("/acl")) == ["remus", "romulus", "ALL"]


def test_every_change_of_access_counts_at_the_next_open(tree: RemConf, database: Database) -> None:
    def acl(name: str) -> list[str]:
        return tree.content(f"/acl/{name}").decode().splitlines()[:-1]

    assert acl("remus") == ["alice@INVIRT.TEST"]
    database.execute("INSERT INTO machine_access SELECT machine_id, 'bob@INVIRT.TEST' FROM machines")
    assert acl("remus") == ["alice@INVIRT.TEST", "bob@INVIRT.TEST"]
    database.execute("DELETE FROM members")
    assert acl("remus") == ["bob@INVIRT.TEST"]
    database.execute("UPDATE machines SET name = 'romulus'")
    assert acl("romulus") == ["bob@INVIRT.TEST"]
    with pytest.raises(FileNotFoundError):
        acl("remus")
    assert tree.is_folder("/acl/remus") is None and tree.is_folder("/acl/romulus") is False
    database.execute("DELETE FROM machines")
    assert tree.content("/conf") == b""


def test_one_connection_and_a_new_one_when_it_died(
    tree: RemConf, database: Database, cluster: Cluster
) -> None:
    connect = tree._connect
    assert isinstance(connect, Counted)
    for _ in range(3):
        tree.content("/conf")
    assert connect.times == 1
    cluster.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.name}'")
    tree.content("/conf")
    assert connect.times == 2


def test_no_database_no_answer_though_a_snapshot_is_there(
    tree: RemConf, database: Database, cluster: Cluster
) -> None:
    tree.content("/conf")
    cluster.run(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
    cluster.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.name}'")
    for path in ("/conf", "/acl/remus", "/acl/ALL"):
        with pytest.raises(InvirtError):
            tree.content(path)
    cluster.run(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
    assert tree.content("/acl/remus")


def test_a_counter_that_went_back_counts_too(tree: RemConf, database: Database) -> None:
    first = tree.snapshot()
    database.execute("UPDATE counters SET value = value - 1 WHERE name = 'access'")  # an older backup
    assert tree.snapshot() is not first


def test_the_programs_are_installed_where_conf_leads(checkout: Path) -> None:
    for name in ("invirt-remote-proxy-control", "invirt-remote-machine", "invirt-remote-web"):
        assert (checkout / "invirt-remote/sbin" / name).stat().st_mode & 0o111
