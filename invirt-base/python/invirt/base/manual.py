"""Manual pages made from Commands: what --help says, in the form of man(7)."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator

from invirt.base import errors
from invirt.base.cli import Command, sub_commands


def _text(text: str) -> str:
    """text as it is, for roff."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in lines)


def _filled(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """The help of action with its %(default)s and the like filled in."""
    values = {**vars(action), "prog": parser.prog}
    return (action.help or "") % values if action.help else ""


def _title(action: argparse.Action) -> str:
    """How an option or argument is written."""
    value = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    value = value if isinstance(value, str) else " ".join(value)
    if not action.option_strings:
        return f"\\fI{_text(value)}\\fR"
    names = ", ".join(f"\\fB{_text(name)}\\fR" for name in action.option_strings)
    return names if action.nargs == 0 else f"{names} \\fI{_text(value)}\\fR"


def _actions(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A paragraph for each option and argument; sub-commands have sections of their own."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
            continue
        if action.help != argparse.SUPPRESS:
            yield f".TP\n{_title(action)}\n{_text(_filled(action, parser))}"


def _usage(parser: argparse.ArgumentParser) -> str:
    return " ".join(parser.format_usage().removeprefix("usage: ").split())


def _sub_commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A sub-section for each sub-command, and for each of theirs."""
    for sub, summary in sub_commands(parser).values():
        yield f".SS {_text(sub.prog)}\n.B {_text(_usage(sub))}\n.PP\n{_text(sub.description or summary)}"
        yield from _actions(sub)
        yield from _sub_commands(sub)


def _exit_status() -> Iterator[str]:
    """The family of errors, from its own docstrings."""
    yield ".TP\n0\nIt was done."
    family: list[type[errors.InvirtError]] = [errors.InvirtError, *errors.InvirtError.__subclasses__()]
    for error in family:
        yield f".TP\n{error.exit_code}\n{_text((error.__doc__ or '').splitlines()[0])}"


def page(command: Command) -> str:
    """The manual page of command."""
    parser = command.parser()
    parts = [
        f'.TH {command.name.upper()} {command.section} "" Invirt',
        f".SH NAME\n{_text(command.name)} \\- {_text(command.summary.rstrip('.'))}",
        f".SH SYNOPSIS\n.B {_text(_usage(parser))}",
        f".SH DESCRIPTION\n{_text(command.description)}",
        ".SH OPTIONS\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nShow a short help.",
        *_actions(parser),
    ]
    below = list(_sub_commands(parser))
    if below:
        parts += [".SH COMMANDS", *below]
    parts += [".SH EXIT STATUS", *_exit_status(), f".SH EXAMPLES\n.EX\n{_text(command.example)}\n.EE"]
    return "\n".join(parts) + "\n"


def script_page(name: str, section: int, script: str) -> str:
    """The manual page of a small shell program that only other programs start: its first comment."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), script.splitlines()[1:])
    comment = " ".join(line.lstrip("# ") for line in lines)
    summary, _, _ = comment.partition(". ")
    return (
        f'.TH {name.upper()} {section} "" Invirt\n'
        f".SH NAME\n{_text(name)} \\- {_text(summary.rstrip('.'))}\n"
        f".SH SYNOPSIS\n.B {_text(name)}\n"
        f".SH DESCRIPTION\n{_text(comment)}\n"
    )
