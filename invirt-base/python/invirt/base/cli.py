"""The shared command line: one table row a command.

A command is a module in some invirt.X.commands that holds COMMAND.  Its man
page, its --help and its shell completion are all made from that one row.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from invirt.base.errors import BadInput, InvirtError
from invirt.base.log import one_line


class Parser(argparse.ArgumentParser):
    """argparse's, whose complaints are harmless to a terminal, whatever was typed."""

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and exit with status 2."""
        super().error(one_line(message))


@dataclass(frozen=True)
class Command:
    """One program: what it is called, takes and does.

    name: as installed, e.g. "invirt-getconf".  section: of its manual page, 1
    (anyone) or 8 (administrators).  arguments: adds options to the parser.
    run: does the work with the parsed arguments; its result, if any, is the
    exit code.  remctl: the command by which remctld knows it, if it does.
    """

    name: str
    section: int
    summary: str
    description: str
    example: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]
    remctl: str = ""

    def parser(self, prog: str = "") -> argparse.ArgumentParser:
        """The argument parser, with the example at the end of --help.

        prog is what the user typed, where that is not the program's name.
        """
        parser = Parser(
            prog=prog or self.name,
            description=f"{self.summary}\n\n{self.description}",
            epilog="Example:\n  " + self.example.replace("\n", "\n  "),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.arguments(parser)
        return parser


def sub_commands(parser: argparse.ArgumentParser) -> dict[str, tuple[argparse.ArgumentParser, str]]:
    """The sub-commands of parser by name, each with its summary, in the order of their adding."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {choice.dest: choice.help or "" for choice in action._choices_actions}
            return {name: (sub, summaries.get(name, "")) for name, sub in action.choices.items()}
    return {}


def complain(error: InvirtError, name: str) -> None:
    """Print error for a person on stderr: what was wrong, then what to do; harmless to a terminal."""
    print(f"{name}: {one_line(error.message)}", file=sys.stderr)
    for line in error.hint.splitlines():
        print(f"  {one_line(line)}", file=sys.stderr)


def _readable(argv: Sequence[str]) -> Sequence[str]:
    """argv; raises BadInput for bytes in it that are no text."""
    for word in argv:
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise BadInput(f"{word!a} is not UTF-8")
    return argv


def main(command: Command, argv: Sequence[str] | None = None) -> int:
    """Run command with argv (default: the process' own); returns the exit code."""
    try:
        arguments = command.parser().parse_args(_readable(sys.argv[1:] if argv is None else argv))
        return command.run(arguments) or 0
    except InvirtError as error:
        complain(error, command.name)
        return error.exit_code
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130


def start(command: Command) -> NoReturn:
    """What the wrappers in bin/ and sbin/ call."""
    sys.exit(main(command))
