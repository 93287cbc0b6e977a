"""Lines for the system's log."""

from __future__ import annotations

import shlex
import syslog

INFO, WARNING, ERROR = syslog.LOG_INFO, syslog.LOG_WARNING, syslog.LOG_ERR


def one_line(text: str) -> str:
    """text with everything that is not printable escaped: nobody can forge a second line."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def quoted(text: str) -> str:
    """text as one word of a line: what isn't plain is in quotes, as a shell has them."""
    return one_line(shlex.quote(text))


def write(text: str, level: int = INFO, *, program: str = "invirt") -> None:
    """Write one line to syslog in the name of program."""
    syslog.openlog(program, syslog.LOG_PID, syslog.LOG_DAEMON)
    syslog.syslog(level, one_line(text))


def bug(error: BaseException, *, program: str = "invirt") -> None:
    """Write the traceback of error, a line each."""
    import traceback  # only for bugs

    for part in traceback.format_exception(error):
        for line in part.splitlines():
            write(line, ERROR, program=program)
