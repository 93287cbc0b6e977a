"""invirt-console-shell: the serial console of the machine whose login this is."""

from __future__ import annotations

import argparse
import functools
import os
import sys
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from invirt.base import process
from invirt.base.cli import Command
from invirt.base.errors import CommandFailed
from invirt.console import shell

HOMES = Path("/consolefs")


def _say(text: str) -> None:
    print(f"\r[{text}]\r", file=sys.stderr, flush=True)


def _start(argv: list[str], may_stay: Callable[[], bool]) -> int:
    """Run console(1) on this terminal, looking from time to time whether it may go on."""
    before = termios.tcgetattr(0)
    try:
        return process.foreground(argv, env=shell.clean(os.environ), every=shell.RECHECK, may_go_on=may_stay)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _ask(name: str, host: str) -> Callable[[], str]:
    """See shell.Session; asked beside the login, which doesn't wait for it."""
    answers: list[str] = []

    def ask() -> None:
        argv, environment = shell.question(name, host), shell.clean(os.environ)
        with suppress(CommandFailed):
            answers.append(process.run(argv, env=environment, timeout=5, check=False).stdout)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()

    def answer() -> str:
        asking.join()
        return answers[0].split(":")[1] if answers and answers[0].startswith(f"{name}:") else ""

    return answer


def _run(arguments: argparse.Namespace) -> int:
    try:
        shell.refuse_commands(os.environ, arguments.command, os.isatty(0))
        name = shell.login_name()
        proofs = shell.proofs(os.environ)
        ask = functools.partial(_ask, name)
        shell.Session(name, shell.Home(HOMES / name), proofs, _start, ask, _say).go()
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
