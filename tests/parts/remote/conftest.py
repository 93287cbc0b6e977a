"""A remote server on loopback: real remctld, remconffs, KDC and PostgreSQL."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parts.namespace import Namespace, namespace
from tests.parts.postgres import Database
from tests.parts.realm import DEADLINE, Answer, Realm, Remctld, Remctlds, end

REMOTE, WEB = "remote.invirt.test", "web.invirt.test"
CLOSED = "nobody can"


@dataclass
class RemoteServer:
    """What a test needs of the server: its way in, its files, its database."""

    database: Database
    namespace: Namespace
    remctld: Remctld
    remconffs: subprocess.Popen[bytes] | None = None

    def call(self, user: str, *command: str) -> Answer:
        """What `remctl remote COMMAND` brings back to user."""
        return self.remctld.call(user, *command)

    def read(self, path: str) -> str:
        """A file of remconffs, as remctld sees it."""
        done = self.namespace.run("cat", f"/etc/remctl/remconffs/{path}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def mount(self) -> None:
        """Start remconffs and wait until it is mounted."""
        self.remconffs = self.namespace.start("/usr/sbin/invirt-remconffs")
        limit = time.monotonic() + DEADLINE
        while self.namespace.run("mountpoint", "-q", "/etc/remctl/remconffs").returncode:
            assert self.remconffs.poll() is None, (self.namespace.folder / "log").read_text()
            assert time.monotonic() < limit, "remconffs doesn't mount"
            time.sleep(0.05)

    def end(self) -> None:
        """End remconffs, if it runs."""
        if self.remconffs and self.remconffs.poll() is None:
            end(self.remconffs)


def owner(database: Database, name: str) -> None:
    """An owner with one member, name@INVIRT.TEST."""
    database.execute("INSERT INTO owners (name, memory, disk, machines) VALUES (%s, 4096, 100, 20)", (name,))
    database.execute(
        "INSERT INTO members SELECT owner_id, %s FROM owners WHERE name = %s", (f"{name}@INVIRT.TEST", name)
    )


def machine(database: Database, name: str, owner_name: str = "alice") -> None:
    """A machine that is off, without disks."""
    database.execute(
        "INSERT INTO machines (name, owner_id, type_id, memory)"
        " SELECT %s, owner_id, type_id, 128 FROM owners, types"
        " WHERE owners.name = %s AND types.name = 'linux'",
        (name, owner_name),
    )


@contextmanager
def running(
    database: Database, realm: Realm, remctlds: Remctlds, folder: Path, hosts: dict[str, str]
) -> Iterator[RemoteServer]:
    """A remote server whose remconffs is mounted."""
    with database.config.open("a") as config:
        config.write(f"  host_timeout: 3\n  work_timeout: 10\nweb:\n  hostname: {WEB}\n")
    environment = {
        **realm.environment,
        "INVIRT_CONFIG": str(database.config),
        "KRB5_CLIENT_KTNAME": str(realm.keytab(f"host/{REMOTE}")),
        "KRB5CCNAME": f"FILE:{folder}.ccache",
    }
    with namespace(folder, "remote", environment, hosts) as made:
        (folder / "remctl/remconffs").mkdir()
        (folder / "remctl/acl/web").write_text(f"host/{WEB}@{realm.name}\n")
        remctld = remctlds.start(
            REMOTE, enter=made.enter, argv=["/usr/sbin/invirt-remctld"], environment=made.environment
        )
        server = RemoteServer(database, made, remctld)
        try:
            server.mount()
            yield server
        finally:
            server.end()


@pytest.fixture
def remote(database: Database, realm: Realm, remctlds: Remctlds, tmp_path: Path) -> Iterator[RemoteServer]:
    """A remote server with owners alice and bob and a type linux; there are no hosts."""
    for name in ("alice", "bob"):
        owner(database, name)
    database.execute("INSERT INTO types (name, virt) VALUES ('linux', 'pvh')")
    with running(database, realm, remctlds, tmp_path / "remote", {}) as server:
        yield server
