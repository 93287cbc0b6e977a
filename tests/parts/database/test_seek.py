"""PowerDNS and Kea hold on to a frozen server of the database, and are brought to the one that has it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from invirt import config
from invirt.base import templates
from tests.parts import postgres
from tests.parts.database.conftest import Caller, settle
from tests.parts.dhcp.conftest import PROGRAM, TEMPLATE
from tests.parts.dns.conftest import DNS, ZONES, PowerDns
from tests.parts.realm import end, loopback
from tests.parts.waiting import until

BACK = 10.0  # seconds
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
    program = checkout / "invirt-database/libexec/database-seek"
    process = subprocess.Popen([program, kind, tmp_path, daemon.folder / PIDS[kind]])
    try:
        yield tmp_path / "servers.env"
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
        assert not seeker.exists() and process.poll() is None, "there is no other yet"
        made.run("SELECT pg_promote()")
        since = time.monotonic()
        until(lambda: process.poll() == -signal.SIGKILL, seconds=BACK)  # systemd starts it again
        daemon.asks = seeker.read_text().strip().partition("=")[2]
        assert daemon.asks == f"{address},localhost"
        daemon.start()
        assert time.monotonic() - since < BACK
