"""invirt-console-shell: the serial console of the machine whose login this is."""

from __future__ import annotations

import argparse
import os
import re
import socket
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

from invirt.base import process
from invirt.base.cli import Command
from invirt.console import shell

HOMES = Path("/consolefs")
ENDING = 0.2  # seconds after which a conserver that hung up to end listens no more; it is back after one
_PORT = re.compile(r"^\s*port\s+([0-9]+);", re.MULTILINE)


def _say(text: str) -> None:
    print(f"\r[{text}]\r", file=sys.stderr, flush=True)


def _start(argv: list[str], may_stay: Callable[[], bool]) -> int:
    """Run console(1) on this terminal, looking from time to time whether it may go on."""
    before = termios.tcgetattr(0)
    try:
        return process.foreground(argv, env=shell.clean(os.environ), every=shell.RECHECK, may_go_on=may_stay)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _listens(host: str) -> bool:
    """Whether the conserver of host is there: if it isn't, it was not the user who left."""
    time.sleep(ENDING)
    found = _PORT.search(Path(shell.CONFIG).read_text())
    try:
        socket.create_connection((host, int(found[1]) if found else 0), timeout=2).close()
    except OSError:
        return False
    return True


def _run(arguments: argparse.Namespace) -> int:
    try:
        shell.refuse_commands(os.environ, arguments.command, os.isatty(0))
        name = shell.login_name()
        proofs = shell.proofs(os.environ)
        shell.Session(name, shell.Home(HOMES / name), proofs, _start, _listens, _say).go()
    except shell.Ended as end:
        _say(str(end))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", dest="command", help=argparse.SUPPRESS)  # sshd runs it as a shell


COMMAND = Command(
    name="invirt-console-shell",
    section=1,
    summary="the serial console of a machine, as its login's shell",
    description=(
        "sshd runs this for `ssh NAME@CONSOLE`. It joins the terminal to the serial console of the machine\n"
        "NAME, waits when it is off, and follows it when it moves. ^Ec. leaves, ^Ec? shows what else there\n"
        "is. It runs no commands and has no files."
    ),
    example="ssh remus@console.example.org",
    arguments=_arguments,
    run=_run,
)
