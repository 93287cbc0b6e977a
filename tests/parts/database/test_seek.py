"""A frozen server of the database is held on to by nobody once another has it: programs, PowerDNS, Kea."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from invirt import config
from invirt.base import templates
from invirt.base.errors import Unreachable
from invirt.database import connection, found, reach
from tests.parts import postgres
from tests.parts.database.conftest import Caller, settle
from tests.parts.dhcp.conftest import PROGRAM, TEMPLATE
from tests.parts.dns.conftest import DNS, ZONES, PowerDns
from tests.parts.realm import end, loopback
from tests.parts.waiting import until

BACK = 10.0  # seconds
PATIENT = "connect_timeout: 60, statement_timeout: 60"  # who would wait for a silent server fails
WHERE = "SELECT host(inet_server_addr()), pg_is_in_recovery()"
SERVICE = TEMPLATE.parents[1] / "invirt/dhcp/pg_service.conf.mako"


@dataclass
class Kea:
    """Kea that listens nowhere; asks: as PowerDns has it."""

    folder: Path
    asks: str = ""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it would serve."""
        configured = json.loads(templates.render(TEMPLATE))
        configured["Dhcp4"]["interfaces-config"]["interfaces"] = []
        made = self.folder / "etc/kea.conf"
        made.parent.mkdir(exist_ok=True)
        made.write_text(json.dumps(configured))
        (self.folder / "pg_service.conf").write_text(templates.render(SERVICE))
        named = {"KEA_LOCKFILE_DIR": str(self.folder), "KEA_PIDFILE_DIR": str(self.folder)}
        how = {"PGSERVICEFILE": str(self.folder / "pg_service.conf"), "PGSERVICE": "invirt"}
        environment = {**os.environ, **named, **how, "INVIRT_DATABASE": self.asks}
        log = self.folder / "log"
        with log.open("wb") as file:
            self.process = subprocess.Popen([PROGRAM, "-c", made], env=environment, stdout=file, stderr=file)
        until(lambda: "DHCP4_STARTED " in log.read_text(), log.read_text)

    def stop(self) -> None:
        """End it."""
        if self.process:
            end(self.process)


Daemon = PowerDns | Kea
PIDS = {"dns": "invirt.pid", "dhcp": "kea.kea-dhcp4.pid"}


@pytest.fixture
def site(server: postgres.Cluster, caller: Caller) -> str:
    """A site with both; returns what its invirt.yaml says of them."""
    text = DNS.format(secondary=loopback()) + "dhcp: {servers: [dhcp.invirt.test]}\n"
    file = server.folder / "invirt.yaml"
    file.write_text(file.read_text().partition("dns:\n")[0] + text)
    config.reload()
    settle(server)
    server.run(templates.render(ZONES), "invirt")
    return text


@pytest.fixture
def daemon(
    site: str, copy: tuple[postgres.Cluster, str], several: Caller, tmp_path: Path, kind: str
) -> Iterator[Daemon]:
    """It asks the server that has the database, while another has a copy."""
    with (copy[0].folder / "invirt.yaml").open("a") as file:
        file.write(site)
    config.reload()
    several.become(f"host/{kind}.invirt.test", kind)
    found = PowerDns(tmp_path, loopback()) if kind == "dns" else Kea(tmp_path)
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture
def seeker(daemon: Daemon, checkout: Path, tmp_path: Path, kind: str) -> Iterator[Path]:
    """The program, and the file by which it tells the daemon whom to ask."""
    with seeking(checkout, kind, tmp_path, daemon.folder / PIDS[kind]) as order:
        yield order


@contextmanager
def seeking(checkout: Path, *words: str | Path) -> Iterator[Path]:
    """The program, and the file by which it tells whom to ask; words: see there."""
    process = subprocess.Popen([checkout / "invirt-database/libexec/database-seek", *words])
    try:
        yield Path(words[1]) / found.FILE
    finally:
        end(process)


@pytest.mark.parametrize("kind", ["dns", "dhcp"])
def test_it_finds_the_one_that_was_promoted(
    daemon: Daemon, seeker: Path, server: postgres.Cluster, copy: tuple[postgres.Cluster, str]
) -> None:
    made, address = copy
    process = daemon.process
    assert process
    with postgres.frozen(server):
        if isinstance(daemon, PowerDns):
            assert daemon.ask("invirt.test", "SOA", "+time=1").status != "NOERROR"
        assert process.poll() is None, "there is no other yet"
        made.run("SELECT pg_promote()")
        since = time.monotonic()
        until(lambda: process.poll() == -signal.SIGKILL, seconds=BACK)  # systemd starts it again
        daemon.asks = seeker.read_text().strip().partition("=")[2]
        assert daemon.asks == f"{address},localhost"
        daemon.start()
        assert time.monotonic() - since < BACK


@pytest.fixture
def told(
    copy: tuple[postgres.Cluster, str],
    several: Caller,
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """A remote server whose programs would wait long; returns where its seeker tells them whom to ask."""
    file = copy[0].folder / "invirt.yaml"
    file.write_text(file.read_text().replace("connect_timeout: 3, statement_timeout: 10", PATIENT))
    config.reload()
    several.become("host/remote.invirt.test", "remote")
    monkeypatch.setattr(found, "FOLDER", tmp_path)
    with seeking(checkout, "remote", found.folder("remote")) as order:
        yield order


def test_programs_wait_for_no_silent_one(
    told: Path, server: postgres.Cluster, copy: tuple[postgres.Cluster, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither who has a session there, nor who connects when it falls silent, nor who comes afterwards."""
    made, address = copy
    until(lambda: told.exists() and found.first("remote") == "localhost", seconds=BACK)
    with ThreadPoolExecutor() as pool, closing(connection.connect()) as held, postgres.frozen(server):
        asked = pool.submit(ask, lambda: held)
        connected = pool.submit(ask, connection.connect)
        time.sleep(2 * connection.LOOK)
        assert not asked.done() and not connected.done(), "there is no other yet"
        made.run("SELECT pg_promote()")
        with pytest.raises(Unreachable, match="another server"):
            asked.result(BACK)
        assert connected.result(BACK) == (address, False)
        for connect in (connection.connect, lambda: reach.connect(BACK)):
            monkeypatch.setattr(connection.Last, "server", "")  # as in a new process
            assert pool.submit(ask, connect).result(BACK) == (address, False)


def ask(connect: Callable[[], connection.Connection]) -> object:
    """Which server answers there, and whether it has a copy."""
    with closing(connect()) as connected, connected.cursor() as cursor:
        cursor.execute(WHERE)
        return cursor.fetchone()
