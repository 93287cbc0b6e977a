"""console: any machine's serial console, for administrators."""

from __future__ import annotations

import os

from invirt import config
from invirt.base import validate
from invirt.base.cli import Argument, Command, Flag, Option, Who
from invirt.base.errors import Denied
from invirt.base.names import MachineName
from invirt.console import shell
from invirt.console.confine import confine
from invirt.console.seat import Seat, terminal


def join(machine: MachineName, who: str, mode: str) -> int:
    """The console on this terminal; 0 when it was left."""
    seat = Seat()
    confine()
    console = seat.join(f"{machine} {who} {mode}")
    with console:
        terminal(console, shell.RECHECK, lambda: True)
    return 0 if seat.has_left() else 1


def _run(machine: MachineName, force: bool, login: str, i: bool, **_: object) -> int | None:
    if i:  # console(1)'s NAME:HOST,PID,PORT:…; we always come by the relay
        print(f"{machine}:relay,1,1:")
        return None
    if os.getuid() == 0 and login not in config.console.administrators:
        raise Denied(f"{login} is none of console.administrators")
    return join(machine, login, "force" if force else "attach")


# What console(1) took, by which sessions go on that were there before it was replaced.
BEFORE = (
    *(Option(letter, spelled=f"-{letter}", hidden=True) for letter in "MCp"),
    *(Flag(letter, spelled=f"-{letter}", hidden=True) for letter in "Ai"),
)
MACHINE = Argument("machine", "whose console", validate.machine_name, "MACHINE", sample="remus")
COMMAND = Command(
    name="console",
    section=1,
    summary="any machine's serial console, for administrators",
    description=(
        "Joins this terminal to the machine's serial console, wherever it runs. ^Ec. leaves, ^Ec? shows\n"
        "what else there is. root alone may name any machine."
    ),
    example="console -f remus",
    arguments=(
        Flag("force", "take the keyboard", spelled="-f"),
        Option(
            "login",
            "one of console.administrators (default: root)",
            metavar="LOGIN",
            spelled="-l",
            default="root",
        ),
        MACHINE,
        *BEFORE,
    ),
    who=Who.HERE,
    run=_run,
    shown=None,
)
