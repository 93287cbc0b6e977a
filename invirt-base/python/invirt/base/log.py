"""Lines for the system's log.

What is known of a line beside its text, which machine it is about and in whose name it was done, goes to
the journal as fields: journalctl INVIRT_MACHINE=remus, journalctl INVIRT_PRINCIPAL=alice@EXAMPLE.ORG.
"""

from __future__ import annotations

import os
import shlex
import syslog
import time

INFO, WARNING, ERROR = syslog.LOG_INFO, syslog.LOG_WARNING, syslog.LOG_ERR
JOURNAL = "/run/systemd/journal/socket"
AGAIN, SELDOM = 60.0, 6 * 3600.0  # seconds until what lasts is said once more: at first, and at last


def one_line(text: str) -> str:
    """text with everything that is not printable escaped: nobody can forge a second line."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def quoted(text: str) -> str:
    """text as one word of a line: what isn't plain is in quotes, as a shell has them."""
    return one_line(shlex.quote(text))


class _Now:
    """What this process' lines are about, where they don't say it themselves."""

    machine: str | None = None
    principal: str | None = None


def about(*, machine: str | None = None, principal: str | None = None) -> None:
    """From now on this process' lines are about a machine, or done in somebody's name; None: as before."""
    _Now.machine = machine or _Now.machine
    _Now.principal = principal or _Now.principal


def write(
    text: str,
    level: int = INFO,
    *,
    program: str = "invirt",
    machine: str | None = None,
    principal: str | None = None,
) -> None:
    """Write one line in the name of program: to the journal where there are fields for it, else to syslog."""
    known = {"MACHINE": machine or _Now.machine, "PRINCIPAL": principal or _Now.principal}
    fields = [f"INVIRT_{name}={one_line(value)}" for name, value in known.items() if value]
    if fields and os.path.exists(JOURNAL):
        # Not by systemd.journal, which has it from there: that takes 20 ms of each command to import.
        from systemd._journal import sendv

        whose = (f"SYSLOG_IDENTIFIER={program}", f"SYSLOG_FACILITY={syslog.LOG_DAEMON >> 3}")
        sendv(f"MESSAGE={one_line(text)}", f"PRIORITY={level}", *whose, f"SYSLOG_PID={os.getpid()}", *fields)
        return
    syslog.openlog(program, syslog.LOG_PID, syslog.LOG_DAEMON)
    syslog.syslog(level, one_line(text))


class Lasting:
    """What is wrong until it isn't: said at once, and then at growing intervals, however often it is seen."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.over()

    def over(self) -> None:
        """It is right again."""
        self.text, self.pause, self.next = "", AGAIN, 0.0

    def write(self, text: str) -> None:
        """It is wrong, still or in another way."""
        now = time.monotonic()
        if text != self.text:
            self.over()
        elif now < self.next:
            return
        write(text, WARNING, program=self.program)
        self.text, self.next, self.pause = text, now + self.pause, min(2 * self.pause, SELDOM)


def bug(error: BaseException, *, program: str = "invirt") -> None:
    """Write the traceback of error, a line each."""
    import traceback  # only for bugs

    for part in traceback.format_exception(error):
        for line in part.splitlines():
            write(line, ERROR, program=program)
