"""The consoles that this host's conserver serves: those of the machines that run here.

conserver's first process alone reads the list, see its unit; each console has
a process of its own that doesn't learn of changes.  So those whose machines
have gone are ended here: their users are told, and follow the machine.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from invirt.base import conserver
from invirt.database.connection import Connection

CHANNEL = "consoles"
EVERY = 2.0  # seconds between looks without word of a change: a conserver that starts has no list
MASTER = "127.0.0.1"  # this host, however its name resolves
STEP, STARTED = 0.05, 2.0  # seconds between looks, and in which one console more is started
REREAD = 0.2  # seconds in which conserver has read the list, unless it is starting consoles

HERE = """
SELECT m.name FROM machines m JOIN hosts h USING (host_id) WHERE %s IN (h.hostname, h.name) ORDER BY m.name
"""
COMMAND = re.compile(rb"xm console d_([a-z0-9-]+);")  # as in invirt-host.cf


def lines(names: Iterable[str]) -> list[str]:
    """A line for each machine."""
    return [conserver.console(name, MASTER) for name in names]


def update(connected: Connection, keeper: conserver.Keeper, host: str = "") -> None:
    """Bring the list up to date.  host: this one's name, by default as it knows it itself."""
    with connected.cursor() as cursor:
        cursor.execute(HERE, (host or socket.getfqdn(),))
        names = [row[0] for row in cursor.fetchall()]
    pid = conserver.running(keeper.pidfile)
    if pid is None:
        return  # it begins with an empty list, see its unit, and is given its own when it runs
    keeper.update(lines(names))
    _await_started(pid, set(names), keeper)
    if needless(serving(pid), names):
        time.sleep(REREAD)  # one that conserver still wants would be started again
        for process in needless(serving(pid), names):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)


def _await_started(pid: int, names: set[str], keeper: conserver.Keeper) -> None:
    """Until each machine has its process, or nothing more happens."""
    limit = time.monotonic() + STARTED
    missing = names - dict(serving(pid)).keys()
    while missing and time.monotonic() < limit:
        time.sleep(STEP)
        keeper.wake()
        now = names - dict(serving(pid)).keys()
        limit = time.monotonic() + STARTED if now != missing else limit
        missing = now


def serving(conserver_pid: int) -> list[tuple[str, int]]:
    """Machines, with conserver's process for the console of each; the oldest first."""
    found = []
    for process in _children(conserver_pid):
        for program in _children(process):
            with suppress(OSError):
                if match := COMMAND.search(Path(f"/proc/{program}/cmdline").read_bytes()):
                    found.append((match[1].decode(), process))
    return found


def needless(served: Iterable[tuple[str, int]], names: Collection[str]) -> list[int]:
    """The processes for machines that aren't here, and all but the newest for one that is."""
    newest = dict(served)
    return [process for name, process in served if name not in names or process != newest[name]]


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
