"""console: any machine's serial console, for administrators."""

from __future__ import annotations

import argparse
import os

from invirt import config
from invirt.base import validate
from invirt.base.cli import Command
from invirt.base.errors import Denied
from invirt.console import shell
from invirt.console.confine import confine
from invirt.console.seat import Seat, terminal


def join(machine: str, who: str, mode: str) -> int:
    """The console on this terminal; 0 when it was left."""
    seat = Seat()
    confine()
    console = seat.join(f"{machine} {who} {mode}")
    with console:
        terminal(console, shell.RECHECK, lambda: True)
    return 0 if seat.has_left() else 1


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", dest="force", action="store_true", help="take the keyboard")
    parser.add_argument(
        "-l", dest="login", default="root", help="one of console.administrators (default: root)"
    )
    parser.add_argument("machine")
    # What console(1) took, by which sessions go on that were there before it was replaced.
    for letter in "MCp":
        parser.add_argument(f"-{letter}", help=argparse.SUPPRESS)
    for letter in "Ai":
        parser.add_argument(f"-{letter}", action="store_true", help=argparse.SUPPRESS)


def _run(arguments: argparse.Namespace) -> int:
    name = validate.machine_name(arguments.machine)
    if arguments.i:  # console(1)'s NAME:HOST,PID,PORT:…; we always come by the relay
        print(f"{name}:relay,1,1:")
        return 0
    if os.getuid() == 0 and arguments.login not in config.console.administrators:
        raise Denied(f"{arguments.login} is none of console.administrators")
    return join(name, arguments.login, "force" if arguments.force else "attach")


COMMAND = Command(
    name="console",
    section=1,
    summary="any machine's serial console, for administrators",
    description=(
        "Joins this terminal to the machine's serial console, wherever it runs. ^Ec. leaves, ^Ec? shows\n"
        "what else there is. root alone may name any machine."
    ),
    example="console -f remus",
    arguments=_arguments,
    run=_run,
)
