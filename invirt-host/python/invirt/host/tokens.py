"""One command at a time for a machine, each only once, and never one that came too late.

remote sends a token with each command, higher than all before it.  A command
whose token is not higher than the highest seen was here before, or comes from
a worker that was taken for dead: it must not act any more.

Tokens come from one sequence for all machines.  So of a name that had no
command for long, nothing need be kept but that all tokens up to its own are
old: they count as seen for every name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from invirt.base import lock, validate
from invirt.base.errors import Busy
from invirt.host import paths

patience = 8.0  # seconds for another command's end: remote waits for an answer for ten

FLOOR = ".floor"  # the highest token that was forgotten; no machine's name begins so


@contextmanager
def locked(name: str, seconds: float | None = None) -> Iterator[None]:
    """Hold the lock of machine name; Busy when it isn't free within so many seconds, or `patience`."""
    seconds = patience if seconds is None else seconds
    path = paths.run() / "locks" / name
    paths.make(path.parent)
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "a") as file:
        if not lock.take(file, seconds):
            raise Busy(
                f"another command works on {name} on this host for more than {seconds:g} seconds",
                hint="Wait for its end, then try again.",
            )
        yield


@contextmanager
def claimed(token: int, *names: str) -> Iterator[None]:
    """Hold the locks of all names; Busy when this token, or a higher one, was seen for one of them.

    The token is on disk before the command's work begins: who wants to try
    again what failed, or was cut off, comes with a new one.
    """
    with ExitStack() as stack:
        each = sorted(set(names))
        for name in each:
            stack.enter_context(locked(name))
        for name in each:
            highest = seen(name)
            if token <= highest:
                raise Busy(
                    f"this command for {name} came too late: its token is {token}, {highest} was here",
                    hint="Nothing was changed: it was done before, or has been given up.",
                )
        for name in each:
            paths.write(_path(name), f"{token}\n")
        yield


def seen(name: str) -> int:
    """The highest token that came for machine name, or that was forgotten; 0 if none was."""
    return max(_read(name), _read(FLOOR))


def outdate(token: int) -> None:
    """All tokens up to this one are old, for every name: what was done meanwhile, another host did."""
    with locked(FLOOR):
        paths.write(_path(FLOOR), f"{max(token, _read(FLOOR))}\n")


def forget(seconds: float) -> None:
    """Forget the names that had no command for so long.

    The floor is raised before the name's own token goes: a kill between leaves both.
    """
    for path in (paths.state() / "tokens").glob("[!.]*"):
        with locked(FLOOR), locked(path.name):
            if time.time() - path.stat().st_mtime > seconds:
                paths.write(_path(FLOOR), f"{seen(path.name)}\n")
                path.unlink()


def item(operation: int) -> str:
    """What commands for something in the trash take a token for: its name may be another machine's."""
    return f"trash.{operation}"


def subject(text: str) -> str:
    """What commands take tokens for: a machine's name, or an item(); raises BadInput."""
    number = text.removeprefix("trash.")
    return item(validate.token(number)) if number != text else validate.machine_name(text)


def _read(name: str) -> int:
    try:
        return int(_path(name).read_text())
    except FileNotFoundError:
        return 0


def _path(name: str) -> Path:
    return paths.state() / "tokens" / name
