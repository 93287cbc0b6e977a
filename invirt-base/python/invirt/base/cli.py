"""The shared command line: one table row a command.

A command is a module in some invirt.X.commands that holds COMMAND.  Its man
page, its --help and its shell completion are all made from that one row.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from invirt.base.errors import BadInput, InvirtError
from invirt.base.log import one_line, quoted

WIDTH = 90  # letters of a line of --help


class Parser(argparse.ArgumentParser):
    """argparse's, but it complains as all of Invirt does, and harmlessly to a terminal."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong, then how it is meant, and exit with status 2."""
        complain(BadInput(message, self.format_usage()), self.prog)
        sys.exit(BadInput.exit_code)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """A sub-command, too, complains of what it doesn't know: argparse would leave it to the first one."""
        found, unknown = super().parse_known_args(args, namespace)
        for word in unknown:
            self.error(f"unknown: {quoted(word)}{_near(word, self._option_string_actions)}")
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            what = f"{action.option_strings[0]} can't be" if action.option_strings else "there is no"
            raise BadInput(
                f"{what} {value!a}{_near(value, action.choices)}",
                hint=f"There is: {', '.join(action.choices)}.",
            )


def _near(word: str, known: Iterable[str]) -> str:
    """A question after the complaint, if word is nearly one of those known."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


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
            description=f"{self.summary}\n\n{textwrap.fill(self.description, WIDTH)}",
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
