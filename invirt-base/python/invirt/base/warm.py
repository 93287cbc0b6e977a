"""Workers started ahead: what every command needs is done before anyone asks.

A role's service has imported what its programs need and read the configuration.
It forks workers, each of which signs on to the database and then waits for one
command: it does that and ends (invirt.base.worker).  So nothing of one caller is
there for the next.  The programs themselves are run by /usr/libexec/invirt/warm,
which hands their arguments, environment and streams to a worker; the service takes
callers, and gives each to the next worker that is ready.  Where it doesn't answer, or
sends a caller away, the program does its work, as if there were no service.

A worker is used only if no file has changed that it was made of: programs,
libraries, configuration.  When one has, the service begins anew.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from invirt import config
from invirt.base import log, remctl, worker
from invirt.base.cli import Command, examples, understood, whole
from invirt.base.listening import PASSED
from invirt.base.notify import notify

MOST = 64  # workers of a role, those at work among them; beyond, programs do their work themselves
WELCOME = b"."  # what a caller hears at once; then its worker's greeting
LOOK = 5.0  # seconds between two looks whether files have changed: workers look for themselves
TICK = 1.0  # seconds after a worker that failed
REST = 0.5  # seconds after a caller in which no worker is made while another is there: it needs the CPU


class Files:
    """All that this process was made of, as it was when it was made.

    settings: files that are looked at by themselves, while programs and libraries are as
    unchanged as their folders as long as nobody writes into one in its place, which packages never do.
    """

    def __init__(self, *settings: Path) -> None:
        modules = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        mapped = (line.split(maxsplit=5)[5:] for line in Path("/proc/self/maps").read_text().splitlines())
        libraries = (path[0] for path in mapped if path and path[0].startswith("/"))
        made_of = {*filter(None, modules), *libraries}
        self.files = _states(made_of)
        self.folders = _states({*map(os.path.dirname, made_of), *map(str, settings)})

    def changed(self) -> str | None:
        """One that is another by now, if there is one."""
        return _other(self.folders) or _other(self.files)

    def seem_changed(self) -> bool:
        """Whether one is, at a tenth of the price, but for what is written into in its place."""
        return _other(self.folders) is not None


def _states(paths: Iterable[str]) -> dict[str, tuple[int, int, int] | None]:
    return {path: _state(path) for path in paths}


def _other(known: Mapping[str, tuple[int, int, int] | None]) -> str | None:
    return next((path for path, state in known.items() if _state(path) != state), None)


def _state(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@dataclass
class Worker:
    """One that there is; told: the last that it told."""

    pid: int
    told: bytes = b""


@dataclass
class Crew:
    """The workers, each by the socket on which it tells how it stands and is given its caller.

    callers: those that no worker has yet; there is somebody for them, so they don't begin by themselves.
    """

    role: worker.Role
    listening: socket.socket
    files: Files
    workers: dict[socket.socket, Worker] = field(default_factory=dict)
    callers: deque[socket.socket] = field(default_factory=deque)
    not_before: float = 0.0  # of time.monotonic(): no worker is made before that
    rest: float = 0.0  # the same, while another is there and no caller has to wait

    def fill(self) -> None:
        """Make the workers that are missing."""
        waiting = sum(one.told != worker.TAKEN for one in self.workers.values())
        missing = min(self.role.spare - waiting, MOST - len(self.workers))
        now = time.monotonic()
        if now < self.rest and not self.callers:
            missing = min(missing, 1 - waiting)
        for _ in range(missing if now >= self.not_before else 0):
            ours, its = socket.socketpair()
            pid = os.fork()
            if pid == 0:
                # Else others would never see the service end, nor callers that nobody comes.
                for other in (ours, self.listening, *self.workers, *self.callers):
                    other.close()
                worker.work(self.role, self.files.seem_changed, its)
            its.close()
            self.workers[ours] = Worker(pid)

    def hear(self) -> None:
        """Wait until somebody comes, or a worker is ready or ends; a rest at the longest."""
        for one in select.select([self.listening, *self.workers], [], [], REST)[0]:
            if one is self.listening:
                self.welcome()
            elif told := one.recv(1):
                self.workers[one].told = told
            else:
                self.bury(self.workers.pop(one))
                one.close()
        self.hand_over()

    def welcome(self) -> None:
        """Tell who comes that there is somebody."""
        with contextlib.suppress(BlockingIOError):
            while True:
                caller = self.listening.accept()[0]
                with contextlib.suppress(OSError):
                    caller.send(WELCOME)
                    self.callers.append(caller)
                    self.rest = time.monotonic() + REST

    def hand_over(self) -> None:
        """To each worker that is ready a caller.  Where there may be no more of them, all are sent away."""
        ready = [its for its, one in self.workers.items() if one.told == worker.SIGNED_ON]
        while ready and self.callers:
            with self.callers.popleft() as caller:
                if _is_gone(caller):
                    continue
                its = ready.pop()
                self.workers[its].told = worker.TAKEN
                with contextlib.suppress(OSError):
                    socket.send_fds(its, [WELCOME], [caller.fileno()])
        if len(self.workers) >= MOST and all(one.told == worker.TAKEN for one in self.workers.values()):
            self.send_away()

    def send_away(self) -> None:
        """Their programs do their work themselves."""
        while self.callers:
            self.callers.popleft().close()

    def bury(self, ended: Worker) -> None:
        """Nothing that it has started lives on; one that was of no use has no successor at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(ended.pid, signal.SIGTERM)
        if not ended.told:
            self.not_before = time.monotonic() + TICK
            self.send_away()


def _is_gone(caller: socket.socket) -> bool:
    """One that is there says nothing before its worker has greeted."""
    return bool(select.select([caller], [], [], 0)[0])


def understand(*commands: Command) -> None:
    """Have each understand its own examples, as somebody says them: patterns are compiled by that."""
    remctl.caller({"REMOTE_USER": "host/nobody@NOWHERE"})
    for command in commands:
        for _, words in examples(command):
            understood(whole(command), words)


def _practise(role: worker.Role) -> None:
    """Do once what a first time in a process makes ready: workers then have that from birth."""
    environment = dict(os.environ)  # theirs must be the same as callers'
    with contextlib.suppress(Exception):  # of which workers tell
        import systemd._journal  # noqa: F401  as log does when it writes; where packages are built it isn't

        signed_on = role.sign_on()
        try:
            role.practise()
        finally:
            signed_on.leave()
    os.environ.clear()
    os.environ.update(environment)


def serve(role: worker.Role) -> NoReturn:
    """Keep workers ready on the socket that systemd passes.  Raises BadConfig."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries workers, also those from before
    settings = config.path(), config.applied(), config.kept()
    files = Files(*settings)
    config.values()
    _practise(role)
    if not files.changed():
        files = Files(*settings)  # with libraries that came by that
    listening = socket.socket(fileno=PASSED)
    listening.setblocking(False)
    gc.freeze()  # what is there is never freed, and so stays shared
    crew = Crew(role, listening, files)
    notify("READY=1")
    look = 0.0  # of time.monotonic()
    while True:
        if time.monotonic() >= look:
            if changed := files.changed():
                break
            look = time.monotonic() + LOOK
        crew.fill()
        crew.hear()
    log.write(f"{changed} changed: beginning anew", program="invirt-warm")
    os.execv(sys.executable, sys.orig_argv)


def command(role: str, who: str, serve: Callable[[], NoReturn]) -> Command:
    """The command of a role's service; who: whose asking its workers are ready for."""
    return Command(
        name=f"invirt-{role}-warm",
        section=8,
        summary=f"keep workers ready for what {who} for",
        description=(
            f"Run by invirt-{role}-warm.service.  Each worker has modules, configuration and a session of\n"
            "the database, does one command that remctld's program hands to it, and ends.  Where there is\n"
            "none, that program does its work itself."
        ),
        example=f"systemctl restart invirt-{role}-warm.service",
        run=serve,
        shown=None,
    )
