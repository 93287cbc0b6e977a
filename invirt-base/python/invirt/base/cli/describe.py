"""The table of verbs as data, for those who make forms or another interface of it."""

from __future__ import annotations

from typing import Any

from invirt.base.cli.rows import Argument, Command, Flag, Group, Option, Row

Record = dict[str, Any]


def described(command: Command) -> list[Record]:
    """A record of each verb.

    words: what is typed, with {NAME} for the argument of that name; then follow the
    options.  name: the words that are the same each time; a group's own for the verb that it means bare.
    """
    return _below(command.row, (), ())


def _below(row: Row, words: tuple[str, ...], arguments: tuple[Argument, ...]) -> list[Record]:
    placed = (*words, *(f"{{{argument.name}}}" for argument in row.places))
    if isinstance(row, Group):
        arguments = (*arguments, *row.places)
        named = [(one, placed if one.name == row.bare else (*placed, one.name)) for one in row.verbs]
        return [record for one, words in named for record in _below(one, words, arguments)]
    return [
        {
            "name": " ".join(word for word in words if not word.startswith("{")),
            "words": list(placed),
            "summary": row.summary,
            "who": row.who.name.lower(),
            "changes": row.changes,
            "arguments": [_argument(argument) for argument in (*arguments, *row.arguments)],
        }
    ]


def _argument(argument: Argument) -> Record:
    """kind: place, option (with its value) or flag.  option: how it is written."""
    kind = "flag" if isinstance(argument, Flag) else "option" if isinstance(argument, Option) else "place"
    names = ("name", "help", "metavar", "unit", "sample", "required", "several", "default")
    return {
        **{name: getattr(argument, name) for name in names},
        "kind": kind,
        "option": argument.names[-1] if isinstance(argument, Option) else None,
        "choices": list(argument.choices),
    }
