"""Ends connections to remctld whose callers don't sign on in time.

remctld waits for ever for those who are silent, and systemd counts them among
the connections that a socket may have.  Whoever has signed on has remctld run
a command at once, so a remctld that is some seconds old and never had a child
is one that nobody has signed on to.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from invirt.base import log

PATIENCE = 10.0  # seconds to sign on and to say what to do
EVERY = 5.0  # seconds: a look is at all processes
TELL = 60.0  # seconds between two lines of the log

OURS = re.compile(r"/invirt-(host-)?remctld@[^/]*\.service$", re.MULTILINE)
TICKS = os.sysconf("SC_CLK_TCK")
# Of /proc/PID/stat, counted from the state (proc(5)).
CHILDREN_FAULTS, BEGUN = 8, 19


def idle(process: Path, patience: float = PATIENCE) -> bool:
    """Whether process, a folder of /proc, is a remctld of ours that ran no command in all its seconds."""
    try:
        command, _, rest = (process / "stat").read_text().partition("(")[2].rpartition(")")
        if command != "remctld":
            return False
        words = rest.split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(words[BEGUN]) / TICKS
        if age < patience or int(words[CHILDREN_FAULTS]):
            return False
        ours = OURS.search((process / "cgroup").read_text().rstrip())
        return bool(ours) and not (process / f"task/{process.name}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _idle(proc: Path) -> Iterator[int]:
    """Each of them, held by a descriptor: its number can't have become another's."""
    for process in proc.glob("[1-9]*"):
        if idle(process):
            with suppress(ProcessLookupError):
                held = os.pidfd_open(int(process.name))
                try:
                    if idle(process):
                        yield held
                finally:
                    os.close(held)


def sweep(proc: Path = Path("/proc")) -> int:
    """End those that are idle; returns how many were."""
    ended = 0
    for held in _idle(proc):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(held, signal.SIGKILL)
            ended += 1
    return ended


def watch() -> None:
    """Sweep for ever, and tell the log how many were ended, once a minute at most."""
    ended, told = 0, 0.0
    while True:
        ended += sweep()
        if ended and time.monotonic() - told > TELL:
            text = f"ended {ended} connections that didn't sign on to remctl within {PATIENCE:g} seconds"
            log.write(text, log.WARNING, program="invirt-remctld-gate")
            ended, told = 0, time.monotonic()
        time.sleep(EVERY)
