"""The list of consoles that a running conserver serves.

Its own configuration includes the list, so that only the list is written when
machines come, go or move.  conserver rereads it at SIGHUP without disturbing
the sessions of consoles that are still in it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

LIST = Path("/run/invirt/conserver/consoles.cf")
PIDFILE = Path("/run/conserver/conserver.pid")  # compiled into conserver


def write(text: str, file: Path = LIST) -> bool:
    """Put text in place, whole; False if that is what was there."""
    if file.exists() and file.read_text() == text:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.rename(file)
    return True


def running(pidfile: Path = PIDFILE) -> int | None:
    """The process id of the conserver that runs, once it has set up its signals; else None."""
    try:
        pid = int(pidfile.read_text())
        return pid if Path(f"/proc/{pid}/comm").read_text() == "conserver\n" else None
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None


def tell(what: signal.Signals, pidfile: Path = PIDFILE) -> bool:
    """Send a signal to the conserver that runs; False if there is none."""
    pid = running(pidfile)
    if pid is None:  # earlier than that a signal would end it
        return False
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return False
    return True


class Keeper:
    """Keeps the list true, and tells conserver."""

    def __init__(self, file: Path = LIST, pidfile: Path = PIDFILE) -> None:
        self.file, self.pidfile = file, pidfile
        self._told = True
        self._wakes = 0  # how often conserver has still to be woken

    def begin(self) -> None:
        """Have a list, if an empty one, so that conserver can start without the database."""
        if not self.file.exists():
            write("", self.file)

    def update(self, consoles: Iterable[str]) -> None:
        """Serve these consoles.  A conserver that was starting meanwhile is told the next time."""
        if write("".join(consoles), self.file):
            self._told, self._wakes = False, 2
        self._told = self._told or tell(signal.SIGHUP, self.pidfile)
        if self._wakes:
            self._wakes -= 1
            self.wake()

    def wake(self) -> None:
        """Let conserver go on at once (it does nothing else at SIGUSR1 here).

        A SIGHUP that comes while it handles another is forgotten until
        something wakes it, and it sleeps 0.75 s after each console it starts.
        """
        tell(signal.SIGUSR1, self.pidfile)
