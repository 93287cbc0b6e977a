"""The shared command line: one table row a verb, on click.

A command is a module in some invirt.X.commands that holds COMMAND, whose rows
say what there is (rows.py).  What its verbs return is printed in one place
(show.py); its --help, its manual page and its shell completion are all made
from the same rows.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from invirt.base.cli import show
from invirt.base.cli.rows import (
    JSON,
    SITE,
    Argument,
    Call,
    Command,
    Flag,
    Group,
    Option,
    Place,
    Row,
    Verb,
    Who,
    whole,
)
from invirt.base.cli.show import Facts, Found, Table, complain, say
from invirt.base.cli.words import rest_of_line, understood
from invirt.base.errors import BadInput, InvirtError

__all__ = [
    "JSON",
    "SITE",
    "Argument",
    "Call",
    "Command",
    "Facts",
    "Flag",
    "Found",
    "Group",
    "Option",
    "Place",
    "Row",
    "Table",
    "Verb",
    "Who",
    "complain",
    "examples",
    "main",
    "parsed",
    "rest_of_line",
    "say",
    "show",
    "start",
    "understood",
    "whole",
]


def _readable(argv: Sequence[str]) -> Sequence[str]:
    """argv; raises BadInput for bytes in it that are no text."""
    for word in argv:
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise BadInput(f"{word!a} is not UTF-8")
    return argv


def parsed(command: Command, argv: Sequence[str], prog: str = "") -> Call | None:
    """What argv asks of command; None: for help, which is printed.  Raises BadInput.

    From here on, answers are JSON if it asks for that.
    """
    show.mode("--json" in argv)
    call = understood(whole(command, prog), _with_verb(command, _readable(argv)))
    show.mode(call is not None and call.as_json)
    return call


def examples(command: Command) -> Iterator[tuple[Place, list[str]]]:
    """Its verbs, each with what its example says behind the program."""
    for place in whole(command).all():
        if place.verb:
            yield place, shlex.split(place.example)[len(command.name.split()) :]


def _with_verb(command: Command, argv: Sequence[str]) -> Sequence[str]:
    """argv, with the verb that is meant where it begins with none."""
    begins = argv[0] if argv else "-"
    named = not begins.startswith("-") or begins in ("-h", "--help")
    return argv if named or not command.bare else [command.bare, *argv]


def main(command: Command, argv: Sequence[str] | None = None) -> int:
    """Run command with argv (default: the process' own); returns the exit code."""
    try:
        call = parsed(command, sys.argv[1:] if argv is None else argv)
        return show.found(call.verb.shown, command.do(call)) if call else 0
    except InvirtError as error:
        complain(error, command.name)
        return error.exit_code
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130


def start(command: Command) -> NoReturn:
    """What the wrappers in bin/ and sbin/ call."""
    from invirt.base.cli import completion

    sys.exit(0 if completion.answered(command) else main(command))
