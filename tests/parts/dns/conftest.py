"""A real PowerDNS on a loopback address, configured by our own template."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from invirt import config
from invirt.base import templates
from tests.parts.database.rows import site
from tests.parts.postgres import Database
from tests.parts.realm import end, loopback

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "invirt-dns/files/etc/powerdns/pdns.d/invirt.conf.mako"
PROGRAM = ROOT / "invirt-dns/sbin/invirt-pdns"
ZONES = ROOT / "invirt-database/files/etc/invirt/postgresql/site.sql.mako"
DEADLINE = 20.0  # seconds
DNS = """\
dns:
  servers: [dns.invirt.test]
  nameservers: [dns.invirt.test, ns2.invirt.test]
  zones: [other.test, 10.in-addr.arpa, 8.b.d.0.1.0.0.2.ip6.arpa]
  secondaries: [{secondary}]
"""


@dataclass
class Answer:
    """What dig was told: the status, and each record of the answer as "NAME TYPE CONTENT"."""

    status: str
    records: list[str]
    text: str


@dataclass
class PowerDns:
    """A running server; folder holds its configuration and its log.

    stock: its configuration in place of our template's.  asks: servers of the database,
    in the order in which it is to ask them, instead of invirt.yaml's.
    """

    folder: Path
    address: str
    secondary: str = "127.0.0.1"
    stock: str = ""
    asks: str = ""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self.folder / "pdns.conf").write_text(
            f"{self.stock or templates.render(TEMPLATE)}\nlocal-address={self.address}\nlocal-port=53\n"
            f"socket-dir={self.folder}\nsecurity-poll-suffix=\n"
        )
        argv = [str(PROGRAM), f"--config-dir={self.folder}"]
        environment = {**os.environ, "INVIRT_DATABASE": self.asks, "RUNTIME_DIRECTORY": str(self.folder)}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + DEADLINE
        while self.ask("invirt.test", "SOA").status != "NOERROR":
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        if self.process:
            end(self.process)

    def ask(self, name: str, type: str = "A", *options: str) -> Answer:
        """One query by bind's dig, without retry; status is "silence" where no answer came."""
        argv = ["dig", f"@{self.address}", "+norecurse", "+tries=1", "+time=5", *options, name, type]
        text = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=DEADLINE).stdout
        status = re.search(r"status: (\w+)", text)
        records = [line.split(None, 4) for line in text.splitlines() if line and not line.startswith(";")]
        said = [f"{name} {type} {content}" for name, _, _, type, content in records]
        return Answer(status[1] if status else "silence", said, text)

    def addresses(self, name: str, type: str = "A") -> list[str]:
        """The contents of the answer to one query, sorted."""
        return sorted(record.split()[2] for record in self.ask(name, type).records if f" {type} " in record)

    def transfer(self, zone: str) -> set[str]:
        """All records of a zone, by AXFR."""
        return set(self.ask(zone, "AXFR").records)

    def util(self, *words: str) -> str:
        """pdnsutil, as the administrator calls it."""
        argv = ["pdnsutil", f"--config-dir={self.folder}", *words]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def powerdns(database: Database, tmp_path: Path) -> Iterator[PowerDns]:
    """PowerDNS on this test's database, which has a site and no machines."""
    site(database)
    secondary = loopback()
    database.config.write_text(database.config.read_text() + DNS.format(secondary=secondary))
    config.reload()
    database.execute(templates.render(ZONES))
    folder = tmp_path / "pdns"
    folder.mkdir()
    server = PowerDns(folder, loopback(), secondary)
    try:
        server.start()
        yield server
    finally:
        server.stop()
