"""A real BIND, secondary of our PowerDNS for some zones."""

from __future__ import annotations

import dataclasses
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.parts.dns.conftest import DEADLINE, PowerDns
from tests.parts.realm import end

CONTROL = """\
key control {{ algorithm hmac-sha256; secret "aW52aXJ0"; }};
"""
CONFIG = (
    CONTROL
    + """\
options {{
    directory "{folder}"; pid-file none; session-keyfile none;
    listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
    recursion no; dnssec-validation no; notify no; transfer-source {address}; allow-transfer {{ any; }};
    serial-query-rate 1000; startup-notify-rate 1000;
}};
controls {{ inet {address} port 953 allow {{ any; }} keys {{ control; }}; }};
"""
)
ZONE = 'zone "{zone}" {{ type secondary; primaries {{ {primary}; }}; file "{zone}.db"; }};\n'
CALLER = CONTROL + "options {{ default-key control; default-server {address}; }};\n"


def free_port() -> int:
    """One of 127.0.0.1 that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Secondary:
    """A running named; folder holds its configuration, its log and its copies."""

    def __init__(self, folder: Path, primary: PowerDns) -> None:
        self.folder, self.primary, self.address = folder, primary, primary.secondary
        self.port = free_port()  # it listens on addresses that an interface has, alone
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, zones: Sequence[str]) -> None:
        """Start it and wait until it answers its control channel."""
        values = {"folder": self.folder, "address": self.address, "port": self.port}
        served = [ZONE.format(zone=zone, primary=self.primary.address) for zone in zones]
        (self.folder / "named.conf").write_text(CONFIG.format(**values) + "".join(served))
        (self.folder / "rndc.conf").write_text(CALLER.format(**values))
        argv = ["named", "-g", "-n", "1", "-c", str(self.folder / "named.conf")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        deadline = time.monotonic() + DEADLINE
        while self._control("status").returncode:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.05)
        for zone in zones:
            self._transferred(zone)

    def stop(self) -> None:
        """End it."""
        if self.process:
            end(self.process)

    def log(self) -> str:
        """What it has said until now."""
        return (self.folder / "log").read_text()

    def _control(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = ["rndc", "-c", str(self.folder / "rndc.conf"), *words]
        return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=DEADLINE)

    def takes(self, zone: str) -> bool:
        """Let it transfer a zone now; whether it then serves what the primary does.  log() says why not."""
        before = len(self.log())
        assert not self._control("retransfer", zone).returncode, self.log()
        self._transferred(zone, before)
        return self.transfer(zone) == self.primary.transfer(zone)

    def _transferred(self, zone: str, since: int = 0) -> None:
        deadline = time.monotonic() + DEADLINE
        while not re.search(rf"'{zone}/IN' .*Transfer completed:", self.log()[since:]):
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def transfer(self, zone: str) -> set[str]:
        """All records that it has of a zone."""
        asked = dataclasses.replace(self.primary, address="127.0.0.1")
        return set(asked.ask(zone, "AXFR", "-p", str(self.port)).records)


@contextmanager
def secondary(folder: Path, primary: PowerDns, zones: Sequence[str]) -> Iterator[Secondary]:
    """One that runs, on the address that the primary lets have its zones."""
    folder.mkdir()
    made = Secondary(folder, primary)
    try:
        made.start(zones)
        yield made
    finally:
        made.stop()
