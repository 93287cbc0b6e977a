"""invirt-console-shell: the serial console of the machine whose login this is."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

from invirt.base import log
from invirt.base.cli import Command, Option, Who
from invirt.base.errors import InvirtError, Unreachable
from invirt.console import shell
from invirt.console.confine import confine
from invirt.console.seat import Seat, terminal

HOMES = Path("/consolefs")
PROGRAM = "invirt-console-shell"


def _say(text: str) -> None:
    print(f"\r[{text}]\r", file=sys.stderr, flush=True)


def _start(seat: Seat, request: str, may_stay: Callable[[], bool]) -> bool:
    """See shell.Session; a console that isn't there yet is tried again."""
    try:
        console = seat.join(request)
    except Unreachable:
        return False
    with console:
        stayed = terminal(console, shell.RECHECK, may_stay)
    return stayed and seat.has_left()


def _run(command: str | None) -> int:
    try:
        confine()
        shell.refuse_commands(os.environ, command, os.isatty(0))
        name, proofs = shell.login_name(), shell.proofs(os.environ)
        seat = Seat()
        who = shell.principal(proofs)
        log.write(
            f"{who or 'the holder of a key'} is at the console", program=PROGRAM, machine=name, principal=who
        )
        start = functools.partial(_start, seat, f"{name} login attach")
        shell.Session(name, shell.Home(HOMES / name), proofs, start, _say).go()
    except (shell.Ended, InvirtError) as end:
        _say(str(end))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


COMMAND = Command(
    name=PROGRAM,
    section=1,
    summary="the serial console of a machine, as its login's shell",
    description=(
        "sshd runs this for `ssh NAME@CONSOLE`. It joins the terminal to the serial console of the machine\n"
        "NAME, waits when it is off, and follows it when it moves. ^Ec. leaves, ^Ec? shows what else there\n"
        "is. It runs no commands and has no files."
    ),
    example="ssh remus@console.example.org",
    arguments=(Option("command", spelled="-c", hidden=True),),  # sshd runs it as a shell
    who=Who.HERE,
    run=_run,
    shown=None,
)
