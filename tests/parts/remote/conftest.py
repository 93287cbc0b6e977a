"""A remote server on loopback: real remctld, remconffs, KDC and PostgreSQL."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from invirt import config
from invirt.base.remctl import HOST_PORT
from invirt.host.commands.warm import SPARE as AHEAD
from invirt.remote.commands.warm import SPARE
from tests.parts.namespace import ROOT, Namespace, namespace
from tests.parts.owned import owner
from tests.parts.postgres import Database
from tests.parts.realm import DEADLINE, Answer, Realm, Remctld, Remctlds, end
from tests.parts.waiting import until

REMOTE, WEB = "remote.invirt.test", "web.invirt.test"
MEMORY = 256 << 20  # bytes of each process: LimitAS= of invirt-remctld@.service


def confined(*capabilities: str) -> list[str]:
    """What is put before an argv that has only these capabilities, as its systemd unit says."""
    bounds = ",".join(("-all", *capabilities))
    return ["setpriv", "--bounding-set", bounds, "--inh-caps", "-all", "--no-new-privs"]


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
        self.remconffs = self.namespace.start(*confined("+sys_admin"), "/usr/sbin/invirt-remconffs")
        limit = time.monotonic() + DEADLINE
        while self.namespace.run("mountpoint", "-q", "/etc/remctl/remconffs").returncode:
            assert self.remconffs.poll() is None, self.namespace.log()
            assert time.monotonic() < limit, "remconffs doesn't mount"
            time.sleep(0.05)

    @contextmanager
    def warm(self) -> Iterator[subprocess.Popen[bytes]]:
        """Workers are ready, as long as the context lasts."""
        with self.namespace.warm("remote", "prlimit", f"--as={MEMORY}", *confined()) as service:
            self.wait_for_workers()
            yield service

    def workers(self) -> set[int]:
        """The sessions of workers that wait."""
        return _workers(self.database, "remote")

    def wait_for_workers(self) -> set[int]:
        """Until all wait that there can be; their sessions."""
        return until(lambda: found if len(found := self.workers()) >= SPARE else set(), self.namespace.log)

    def end(self) -> None:
        """End remconffs, if it runs."""
        if self.remconffs and self.remconffs.poll() is None:
            end(self.remconffs)


@dataclass
class FakeHost:
    """A host's name, what its fakes keep, and the way in."""

    hostname: str
    state: Path
    remctld: Remctld
    namespace: Namespace

    def running(self) -> list[str]:
        """The guests that run."""
        return sorted(path.name for path in (self.state / "fake/domains").glob("[!.]*"))

    def call(self, *command: str) -> Answer:
        """What `remctl HOST COMMAND` brings back to the remote server."""
        return self.remctld.call(f"host/{REMOTE}", *command)


@dataclass
class Cloud:
    """A remote server and its hosts."""

    remote: RemoteServer
    hosts: list[FakeHost]

    def call(self, user: str, *command: str) -> Answer:
        """What `remctl remote COMMAND` brings back to user."""
        return self.remote.call(user, *command)

    @contextmanager
    def warm(self) -> Iterator[None]:
        """Workers are ready on all servers, as long as the context lasts."""
        with ExitStack() as stack:
            stack.enter_context(self.remote.warm())
            for host in self.hosts:
                stack.enter_context(host.namespace.warm("host"))
            until(lambda: len(_workers(self.remote.database, "host")) >= AHEAD * len(self.hosts))
            yield


def _workers(database: Database, role: str) -> set[int]:
    query = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = %s AND query = 'ROLLBACK'"
    )
    found = database.execute(query, (f"invirt-{role}",), user="postgres")
    return {int(str(pid)) for (pid,) in found}


@contextmanager
def running(
    database: Database, realm: Realm, remctlds: Remctlds, folder: Path, hosts: dict[str, str]
) -> Iterator[RemoteServer]:
    """A remote server whose remconffs is mounted; hosts: their addresses by name."""
    environment = {
        **realm.environment,
        "INVIRT_CONFIG": str(database.config),
        "INVIRT_RUN": str(folder / "run"),
        "INVIRT_FOLLOWERS": str(folder / "followers"),
        "KRB5_CLIENT_KTNAME": str(realm.keytab(f"host/{REMOTE}")),
        "KRB5CCNAME": f"FILE:{folder}.ccache",
    }
    with namespace(folder, "remote", environment, hosts) as made:
        (folder / "remctl/remconffs").mkdir()
        remctld = remctlds.start(
            REMOTE,
            enter=made.enter,
            argv=["prlimit", f"--as={MEMORY}", *confined(), "/usr/libexec/invirt/remctld"],
            environment=made.environment,
        )
        server = RemoteServer(database, made, remctld)
        try:
            server.mount()
            yield server
        finally:
            server.end()


@contextmanager
def host(database: Database, realm: Realm, remctlds: Remctlds, folder: Path, name: str) -> Iterator[FakeHost]:
    """A host whose guests and volumes are files: its real programs behind its real remctld."""
    hostname = f"{name}.invirt.test"
    environment = {
        **realm.environment,
        "INVIRT_CONFIG": str(database.config),
        "INVIRT_STATE": str(folder / "state"),
        "INVIRT_RUN": str(folder / "run"),
        "INVIRT_XEN": str(ROOT / "invirt-host/files/etc/xen"),
        "KRB5_CLIENT_KTNAME": str(realm.keytab(f"host/{hostname}")),  # by which it knows itself
    }
    with namespace(folder, "host", environment, {}) as made:
        conf = Path("/etc/remctl/remctl.conf")
        yield FakeHost(
            hostname,
            folder / "state",
            remctlds.start(hostname, conf, enter=made.enter, environment=made.environment, port=HOST_PORT),
            made,
        )


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Database:
    """The database of a site: owners alice and bob, a type linux, a web server, fake hosts to come."""
    Path(database.socket).chmod(0o755)  # root without capabilities is no more than another user
    shorter = database.config.read_text().replace("statement_timeout: 10", "statement_timeout: 2")
    database.config.write_text(shorter)
    with database.config.open("a") as file:
        file.write(
            f"  host_timeout: 15\n  work_timeout: 30\n  shutdown_timeout: 3\nweb:\n  hostname: {WEB}\n"
            "hypervisor:\n  driver: fake\n"
            f"storage:\n  driver: fake\n  directory: {tmp_path / 'volumes'}\n"
        )
    config.reload()
    (tmp_path / "volumes").mkdir()
    for name in ("alice", "bob"):
        owner(database, name)
    database.execute("INSERT INTO types (name, virt, kernel) VALUES ('linux', 'pvh', '/boot/vmlinuz')")
    database.execute(
        "INSERT INTO address_ranges (first, last, prefix, gateway)"
        " VALUES ('192.0.2.10', '192.0.2.250', 24, '192.0.2.1')"
    )
    return database


@pytest.fixture
def remote(site: Database, realm: Realm, remctlds: Remctlds, tmp_path: Path) -> Iterator[RemoteServer]:
    """A remote server; there are no hosts."""
    with running(site, realm, remctlds, tmp_path / "remote", {}) as server:
        yield server


@pytest.fixture
def cloud(site: Database, realm: Realm, remctlds: Remctlds, tmp_path: Path) -> Iterator[Cloud]:
    """A remote server with host1 and host2, which have room for 1024 MiB each."""
    with ExitStack() as stack:
        hosts = []
        for name in ("host1", "host2"):
            hosts.append(stack.enter_context(host(site, realm, remctlds, tmp_path / name, name)))
            site.execute(
                "INSERT INTO hosts (name, hostname, memory) VALUES (%s, %s, 1024)", (name, hosts[-1].hostname)
            )
        addresses = {made.hostname: made.remctld.address for made in hosts}
        server = stack.enter_context(running(site, realm, remctlds, tmp_path / "remote", addresses))
        yield Cloud(server, hosts)
