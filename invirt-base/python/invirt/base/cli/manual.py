"""Manual pages made from Commands: what --help says, in the form of man(7)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from invirt.base import errors
from invirt.base.cli.help import title
from invirt.base.cli.rows import Argument, Command, Option, Place, Verb, whole


def _text(text: str) -> str:
    """text as it is, for roff."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in lines)


def _title(argument: Argument) -> str:
    """How an option or argument is written: what is typed as it is in bold."""
    if not isinstance(argument, Option):
        return f"\\fI{_text(argument.shown)}\\fR"
    names = ", ".join(f"\\fB{_text(name)}\\fR" for name in argument.names)
    value = title(argument).removeprefix(", ".join(argument.names)).strip()
    return f"{names} \\fI{_text(value)}\\fR" if value else names


def _arguments(place: Place) -> Iterator[str]:
    """A paragraph for each argument and option."""
    for argument in (*place.row.places, *place.row.options):
        if not (isinstance(argument, Option) and argument.hidden):
            yield f".TP\n{_title(argument)}\n{_text(argument.told)}"


def _below(place: Place) -> Iterator[str]:
    """A sub-section for each verb, and for each group of verbs."""
    for one in itertools.islice(place.all(), 1, None):
        yield f".SS {_text(one.path)}\n.B {_text(one.usage)}\n.PP\n{_text(one.row.summary)}"
        yield from _arguments(one)
        if isinstance(one.row, Verb):
            yield f".PP\nWho may: {_text(one.row.who.value)}.\n.PP\n.EX\n{_text(one.example)}\n.EE"


def _exit_status(codes: Mapping[int, str]) -> Iterator[str]:
    """The program's own codes, or the family of errors, from its own docstrings."""
    if codes:
        yield from (f".TP\n{code}\n{_text(about)}" for code, about in codes.items())
        return
    yield ".TP\n0\nIt was done."
    family: list[type[errors.InvirtError]] = [errors.InvirtError, *errors.InvirtError.__subclasses__()]
    for error in family:
        yield f".TP\n{error.exit_code}\n{_text((error.__doc__ or '').splitlines()[0])}"


def page(command: Command) -> str:
    """The manual page of command."""
    place = whole(command)
    parts = [
        f'.TH {command.name.upper()} {command.section} "" Invirt',
        f".SH NAME\n{_text(command.name)} \\- {_text(command.summary.rstrip('.'))}",
        f".SH SYNOPSIS\n.B {_text(place.usage)}",
        f".SH DESCRIPTION\n{_text(command.description)}",
        ".SH OPTIONS\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nShow a short help.",
        *_arguments(place),
    ]
    below = list(_below(place))
    if below:
        parts += [".SH COMMANDS", *below]
    parts += [
        ".SH EXIT STATUS",
        *_exit_status(command.codes),
        f".SH EXAMPLES\n.EX\n{_text(command.example)}\n.EE",
    ]
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
