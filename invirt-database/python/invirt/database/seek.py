"""Tells all programs of a role which server has the database: a silent one would cost each its patience.

All servers are asked, side by side, and the answer is written where programs look (`found`).
PowerDNS and Kea can't look: libpq asks the servers in one order for ever, and waits for one that is
frozen, for an answer without end.  So they are started anew, with the right one first.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import NoReturn

import psycopg2

from invirt import config
from invirt.base import files, kerberos, log
from invirt.base.errors import InvirtError
from invirt.base.notify import notify
from invirt.database import connection, found, peers

PROGRAM = "invirt-database-seek"
EVERY = 1.0  # seconds


class Asker:
    """Asks one server again and again.  rank: while it says that it has the database, see peers.rank()."""

    def __init__(self, hostname: str) -> None:
        self.hostname = hostname
        self.rank: tuple[int, int] | None = None

    def start(self) -> None:
        """On a thread of its own, so that one that is silent holds up no other."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> NoReturn:
        while True:
            try:
                with closing(connection.connect_to(self.hostname, "", PROGRAM)) as connected:
                    connected.autocommit = True
                    connected.patience = config.database.connect_timeout
                    self._ask(connected)
            except (InvirtError, psycopg2.Error):
                self.rank = None
            time.sleep(EVERY)

    def _ask(self, connected: connection.Connection) -> NoReturn:
        with connected.cursor() as cursor:
            while True:
                cursor.execute(f"SELECT {peers.TIMELINE}")
                ((timeline,),) = cursor.fetchall()
                self.rank = peers.rank(self.hostname, timeline) if timeline else None
                time.sleep(EVERY)


class Seeker:
    """What a role's programs are told, and what its daemon, if any, was started with.

    folder: for the file that programs and the daemon's unit read.  pid: the file that has the
    daemon's process' number.
    """

    def __init__(self, folder: Path, pid: Path | None) -> None:
        self.pid, self.order = pid, folder / found.FILE
        self.done = folder / "done"  # what the daemon was started with; none: as invirt.yaml has it
        self.askers = [Asker(name) for name in config.database.all]

    def forget(self) -> None:
        """Let go of an order of other servers than invirt.yaml has now; the daemon reads both anew."""
        known = _text(self.order)
        if set(known.strip().rpartition("=")[2].split(",")) != set(config.database.all):
            self.done.unlink(missing_ok=True)
            self.order.unlink(missing_ok=True)

    def turn(self) -> None:
        """Look once."""
        having = [asker for asker in self.askers if asker.rank]
        first = max(having, key=lambda asker: asker.rank or (), default=None)
        if not first:
            return
        wanted = found.line(sorted(config.database.all, key=lambda name: name != first.hostname))
        if wanted != (known := _text(self.order)):
            files.replace(self.order, wanted.encode())
            if known:
                log.write(f"{first.hostname} has the database now, and is asked first", program=PROGRAM)
        if self.pid and wanted != (_text(self.done) or found.line(config.database.all)):
            self._start_anew(self.pid)
            files.replace(self.done, wanted.encode())

    def _start_anew(self, pid: Path) -> None:
        """systemd starts what ends by that; one that waits for a frozen server would heed no word to stop."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGKILL)


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def watch(kind: str, folder: str, pid: str = "") -> None:
    """Look for ever, where there are several servers; see Seeker.  kind: of roles.SERVERS."""
    connection.role = kind
    kerberos.use_host_keytab()
    seeker = Seeker(Path(folder), Path(pid) if pid else None)
    seeker.forget()
    notify("READY=1")
    if len(config.database.all) < 2:
        return
    for asker in seeker.askers:
        asker.start()
    trouble = log.Lasting(PROGRAM)
    while True:
        try:
            seeker.turn()
            trouble.over()
        except (OSError, ValueError) as error:
            trouble.write(f"trying again: {error}")
        time.sleep(EVERY / 2)
