"""Commands that may take long: begun by one call, asked about by others, whatever becomes of the callers.

A job has the number of its command's token, which no other command ever has.
$INVIRT_RUN/jobs/TOKEN says what it is; the process that does it holds that
file's lock for as long as it lives.  TOKEN.begun is there once it has it,
TOKEN.ended says how it ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import select
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from invirt.base import remctl, worker
from invirt.base.cli import Command, understood, whole
from invirt.base.errors import BadInput, NotFound
from invirt.base.process import background, run
from invirt.database import connection
from invirt.host import paths, tokens
from invirt.host.waiting import wait

SOON = 3.0  # seconds that who begins a job, or asks about it, waits for its end
START = 20.0  # seconds from its beginning until a process must have it
IN_LINE = 600.0  # seconds that a job waits for another command's work on the same machine
WORK = "from invirt.base.cli import start; from invirt.host.commands.work import COMMAND; start(COMMAND)"
UNIT = Path("/usr/lib/systemd/system/invirt-host-job@.service")  # not where only the checkout is
TOLD = 1.0  # seconds between two words of how far it has come
SAID = 5000  # letters of what it said that are kept


def begin(token: int, words: Sequence[str], caller: str, commands: Mapping[str, Command]) -> dict[str, Any]:
    """Have `words` done, a command of ours with that token; returns what status() does, a little later.

    One that was begun already is not begun again.  Raises BadInput for what is no such command.
    """
    what, *rest = words
    known = what in commands and rest[-1:] == [str(token)]
    if not known or understood(whole(commands[what], what), rest) is None:
        raise BadInput(
            f"there is no job {' '.join(words)!a}", hint=f"It can be one of {', '.join(commands)}."
        )
    file = _file(token)
    paths.make(file.parent)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return status(token)
    with os.fdopen(descriptor, "w") as made:
        json.dump({"caller": caller, "words": list(words)}, made)
    _start(token, commands)
    return status(token)


def _start(token: int, commands: Mapping[str, Command]) -> None:
    """In a process that outlives this one's caller; a worker's service ends none that is at work.

    Returns soon: at the job's end, if that comes soon.
    """
    if not worker.at_work and UNIT.exists() and Path("/run/systemd/system").exists():
        run(["systemctl", "start", "--no-block", f"invirt-host-job@{token}.service"])
        wait(lambda: _mark(token, "ended").exists(), SOON)
        return
    if worker.at_work:  # all that it needs is here, the session of the database, too
        pid = worker.apart(lambda: work(token, commands), [one.fileno() for one in connection.ahead])
        connection.hand_on()
    else:
        pid = background(["setsid", sys.executable, "-c", WORK, str(token)])
    process = os.pidfd_open(pid)
    select.select([process], [], [], SOON)
    os.close(process)


def status(token: int) -> dict[str, Any]:
    """Its token, its state ("running" or "ended"), and then its exit status and what it said; how far it has
    come, if it tells (reporter()).

    Raises NotFound where none of that token was begun since the host has booted.
    """
    file = _file(token)
    if not file.exists():
        raise NotFound(f"there is no job {token} on this host", hint="It was rebooted, perhaps.")
    waits = not _mark(token, "begun").exists() and time.time() - file.stat().st_mtime < START
    running = waits or _is_locked(file)
    if _mark(token, "ended").exists():  # looked at last: it may have ended just now
        return {"token": token, "state": "ended", **json.loads(_mark(token, "ended").read_text())}
    if running:
        return {"token": token, "state": "running", **_progress(token)}
    return {"token": token, "state": "ended", "status": 1, "said": f"job: job {token} was cut off"}


def news(token: int) -> dict[str, Any]:
    """What status() does, at the job's end if that comes soon: who waits asks seldom, and hears at once."""
    if status(token)["state"] == "running":
        wait(lambda: _mark(token, "ended").exists(), SOON)
    return status(token)


def reporter(token: int) -> Callable[[int, int], None]:
    """Writes down how far a job has come, percent and MiB a second, for status(); not too often."""
    told = 0.0

    def tell(percent: int, rate: int) -> None:
        nonlocal told
        if time.monotonic() - told > TOLD:
            told = time.monotonic()
            paths.write(_mark(token, "progress"), json.dumps({"percent": percent, "rate": rate}))

    return tell


def _progress(token: int) -> dict[str, int]:
    with contextlib.suppress(FileNotFoundError):
        return dict(json.loads(_mark(token, "progress").read_text()))
    return {}


def work(token: int, commands: Mapping[str, Command]) -> int:
    """Do it, once: one that another process has, or had, is left alone.  Its own status is kept."""
    with _file(token).open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if _mark(token, "begun").exists():
            return 0
        paths.write(_mark(token, "begun"), "")
        job = json.load(file)
        what, *rest = job["words"]
        tokens.patience = IN_LINE
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            code = remctl.main(commands[what], rest, environ={"REMOTE_USER": job["caller"]})
        paths.write(_mark(token, "ended"), json.dumps({"status": code, "said": said.getvalue()[:SAID]}))
    return 0


def forget(seconds: float) -> None:
    """Forget the jobs that were begun so long ago, and are no more."""
    for file in (paths.run() / "jobs").glob("[0-9]*"):
        if time.time() - file.stat().st_mtime > seconds and not _is_locked(file):
            file.unlink()


def _is_locked(file: Path) -> bool:
    """Whether a process has it."""
    with contextlib.suppress(FileNotFoundError), file.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _file(token: int) -> Path:
    return paths.run() / "jobs" / str(token)


def _mark(token: int, what: str) -> Path:
    return paths.run() / "jobs" / f"{token}.{what}"
