"""A real mail server on loopback (aiosmtpd), and a site that names it."""

from __future__ import annotations

import mailbox
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

import pytest

from invirt import config
from tests.parts.owned import machine, owner
from tests.parts.postgres import Database
from tests.parts.realm import DEADLINE, end

ROOT = Path(__file__).parent.parent.parent.parent


@dataclass
class MailServer:
    """One that can be stopped and started again."""

    folder: Path
    port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """It answers then."""
        argv = ["-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{self.port}", "-c", "tests.parts.mail.mailbox.Kept"]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *argv, str(self.folder / "mails")],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        limit = time.monotonic() + DEADLINE
        while socket.socket().connect_ex(("127.0.0.1", self.port)):
            assert process.poll() is None and time.monotonic() < limit, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """Nobody answers."""
        while self.processes:
            end(self.processes.pop())

    def mails(self) -> list[Message]:
        """All that it has taken, the oldest first."""
        if not (self.folder / "mails").exists():
            return []
        found = mailbox.Maildir(self.folder / "mails", create=False)
        return sorted(found, key=lambda one: (one["Message-ID"], one["To"]))


@pytest.fixture
def server(database: Database, tmp_path: Path) -> Iterator[MailServer]:
    """One that runs, and that invirt.yaml names."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    told = f"mail: {{server: 127.0.0.1, port: {port}, address: '{{name}}@mail.test'}}\n"
    database.config.write_text(database.config.read_text() + told)
    config.reload()
    (tmp_path / "smtp").mkdir()
    made = MailServer(tmp_path / "smtp", port)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def site(database: Database) -> Database:
    """alice and bob, of whom alice has a machine; carol and root administer."""
    database.execute("INSERT INTO types (name, virt) VALUES ('linux', 'pvh')")
    for name in ("alice", "bob"):
        owner(database, name)
    machine(database, "remus")
    database.execute("INSERT INTO administrators VALUES ('carol@INVIRT.TEST'), ('root/admin@INVIRT.TEST')")
    return database
