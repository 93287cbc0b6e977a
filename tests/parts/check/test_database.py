"""What a real database tells of itself, of this server, and of others."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from invirt import config
from invirt.check import checks, clocks, configuration, rights, versions
from invirt.check.server import Server
from invirt.config import digests
from tests.parts import postgres
from tests.parts.check.conftest import found, packages
from tests.parts.postgres import Cluster, Database

ALL = tuple(look for look in (clocks.look, rights.look, versions.look, configuration.look))


@pytest.fixture
def told(database: Database) -> Database:
    """One that was told of invirt.yaml."""
    for row in digests.sections(config.load()).items():
        database.execute("INSERT INTO site.sections VALUES (%s, %s)", row)
    return database


@pytest.fixture
def server(told: Database, tmp_path: Path) -> Server:
    """The site's remote server."""
    return Server(root=tmp_path / "root", roles=("remote",), name="remote.invirt.test")


@pytest.mark.parametrize("role", ["database", "remote", "host", "console", "web", "dns", "dhcp"])
def test_all_is_well_for_each_role(told: Database, server: Server, role: str) -> None:
    """But what invirt.yaml, or the table of hosts, doesn't say of it."""
    server.roles = (role,)
    lines = [line for look in ALL for line in found(look, server).splitlines()]
    named = ("the database knows no host of this name", "doesn't name this server")
    assert [line for line in lines if not any(words in line for words in named)] == []
    assert len(lines) == (role not in ("database", "remote"))


def test_a_role_that_may_not_read(told: Database, server: Server) -> None:
    told.execute("REVOKE SELECT ON hosts FROM invirt_remote")
    assert "as remote this server can't read hosts: permission denied" in found(rights.look, server)


def test_tables_of_another_version(told: Database, server: Server) -> None:
    told.execute("UPDATE alembic_version SET version_num = '0075'")
    assert "ERROR database: its tables are of version 0075" in found(versions.look, server)
    told.execute("UPDATE alembic_version SET version_num = '9999'")
    again = Server(root=server.root, roles=server.roles, name=server.name)
    assert "WARNING this server: its programs are made for" in found(versions.look, again)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.1", ""),
        ("1.0", "WARNING packages: they are of version 1.0, those of the database server of 1.1"),
        ("1.10", "ERROR packages: they are of version 1.10, those of the database server of 1.1"),
    ],
)
def test_packages_of_another_version_than_the_database_server_s(
    told: Database, server: Server, version: str, said: str
) -> None:
    told.execute("INSERT INTO site.packages VALUES ('1.1')")
    packages(server, invirt_base=version, invirt_remote_server=version)
    assert found(versions.look, server) == said


def test_another_invirt_yaml_than_the_database_server_s(told: Database, server: Server) -> None:
    config.path().write_text(config.path().read_text() + "machines: {memory: 1024}\ndhcp: {lease: 99}\n")
    config.reload()
    assert "machines, dhcp is said otherwise than on the database server" in found(configuration.look, server)


def test_what_is_written_otherwise_is_the_same(told: Database, server: Server) -> None:
    config.path().write_text(config.path().read_text() + "# Nothing.\nmachines: {memory: 512}\n")
    config.reload()
    assert found(configuration.look, server) == ""


@pytest.mark.parametrize(("off", "level"), [(-90.0, "ERROR"), (7.0, "WARNING"), (0.0, "")])
def test_a_clock_that_is_off(server: Server, off: float, level: str) -> None:
    server.now = lambda: time.time() + off
    said = found(clocks.look, server)
    assert said.startswith(level) and bool(level) == bool(said)
    if level:
        assert f"{abs(off):.1f} s {'behind' if off < 0 else 'ahead of'} that of" in said


def test_hosts_that_are_silent_or_unknown(told: Database, server: Server) -> None:
    told.execute("INSERT INTO hosts (name, hostname, memory) VALUES ('host1', 'host1.invirt.test', 1024)")
    server.roles = ("database",)
    assert "WARNING host host1.invirt.test: it never said anything" in found(rights.look, server)
    unknown = Server(root=server.root, roles=("host",), name="host2.invirt.test")
    assert "ERROR host2.invirt.test: the database knows no host of this name" in found(rights.look, unknown)


def test_a_server_that_invirt_yaml_does_not_name(server: Server) -> None:
    server.name = "elsewhere.invirt.test"
    assert "doesn't name this server in remote, though it has that role" in found(rights.look, server)


def test_a_database_that_stands_still_is_a_finding(
    cluster: Cluster, told: Database, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others go on."""
    monkeypatch.setattr("invirt.check.asking.PATIENCE", 1.0)
    wanted = [check for check in checks.CHECKS if check.name in ("clock", "database", "configuration")]
    with postgres.frozen(cluster):
        began = time.monotonic()
        said = checks.run(server, wanted)
        assert time.monotonic() - began < 20
    assert {name: len(findings) for name, findings in said.items()} == {
        "clock": 0,
        "database": 1,
        "configuration": 0,
    }


def test_a_database_that_is_not_there_is_a_finding(told: Database, server: Server, tmp_path: Path) -> None:
    config.path().write_text(config.path().read_text().replace(told.socket, str(tmp_path)))
    config.reload()
    said = found(rights.look, server)
    assert f"ERROR database {tmp_path}: the database on {tmp_path} doesn't answer" in said
