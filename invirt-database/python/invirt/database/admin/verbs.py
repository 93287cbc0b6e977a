"""What the files of invirt-admin share: a row for each verb, and how rows are shown."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from invirt.base import tables
from invirt.base.errors import BadInput
from invirt.database import models

Row = dict[str, object]
Parser = argparse.ArgumentParser


@dataclass(frozen=True)
class Verb:
    """One thing to do, e.g. "add" of "host add".

    run gets the parsed arguments, inside a transaction; rows that it returns
    are shown as a table or as JSON.
    """

    name: str
    summary: str
    arguments: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], Sequence[Row] | None]


@dataclass(frozen=True)
class Group:
    """A kind of thing and its verbs."""

    name: str
    summary: str
    verbs: tuple[Verb, ...]


def whole(text: str) -> int:
    """A whole number; how large it may be the database knows."""
    if not re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!a} is not a whole number")
    return int(text)


def nothing(parser: Parser) -> None:
    """The arguments of a verb that takes none."""


def name_only(parser: Parser) -> None:
    """The arguments of a verb that takes a name."""
    parser.add_argument("name")


def refuse_if_used(what: str, machines: Sequence[models.Machine]) -> None:
    """Raise BadInput, naming some of the machines, if there are any."""
    if machines:
        shown = ", ".join(machine.name for machine in machines[:5])
        more = f" and {len(machines) - 5} more" if len(machines) > 5 else ""
        raise BadInput(f"{what} is in use by {shown}{more}", hint="Nothing was removed.")


def show(rows: Sequence[Row], as_json: bool) -> None:
    """Print rows for a person, or as JSON for a program."""
    if as_json:
        print(tables.as_json(rows), end="")
    elif rows:
        heads = [head.replace("_", " ") for head in rows[0]]
        print(tables.table(heads, [list(row.values()) for row in rows]), end="")
