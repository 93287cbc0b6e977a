"""The one place that prints what verbs find: for people, or as one JSON document."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from invirt.base import tables
from invirt.base.errors import InvirtError
from invirt.base.log import one_line

Shown = Callable[[Any], str]  # makes what people read of what a verb found


@dataclass(frozen=True, eq=False, repr=False)
class Found:
    """What a verb found, where that isn't all.

    notes: lines on stderr for people, after it.  code: the exit code.  shown:
    instead of the verb's.
    """

    data: Any
    notes: Sequence[str] = ()
    code: int = 0
    shown: Shown | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Shows a list of records as columns.

    columns: the key of each heading, or what makes a cell of the record; none:
    the records' own keys.  empty: what is said of none.  inside: the key of
    the list, where the record holds more.
    """

    columns: Mapping[str, str | Callable[[Any], object]] | None = None
    empty: str = ""
    inside: str = ""

    def __call__(self, data: Any) -> str:
        """The table, or the words for none."""
        rows = data[self.inside] if self.inside else data
        if not rows:
            return self.empty and f"{self.empty}\n"
        columns = self.columns or {key.replace("_", " "): key for key in rows[0]}
        cells = [[_cell(row, what) for what in columns.values()] for row in rows]
        return tables.table(list(columns), cells)


@dataclass(frozen=True, eq=False, repr=False)
class Facts:
    """Shows a record as one fact a line: the key of each name, or what makes the fact of the record."""

    facts: Mapping[str, str | Callable[[Any], object]]

    def __call__(self, data: Any) -> str:
        """The facts that are known."""
        return tables.facts({name: _cell(data, what) for name, what in self.facts.items()})


def _cell(row: Any, what: str | Callable[[Any], object]) -> object:
    return row.get(what) if isinstance(what, str) else what(row)


def words(data: Any) -> str:
    """A line that was said, or nothing."""
    return "" if data is None else f"{data}\n"


def text(data: str) -> str:
    """Lines that are whole as they are."""
    return data


class _Now:
    as_json = False


def say(line: str) -> None:
    """Tell at once how it goes; beside JSON, on stderr."""
    print(line, file=sys.stderr if _Now.as_json else sys.stdout, flush=True)


def mode(as_json: bool) -> None:
    """Whether this call's answer is JSON."""
    _Now.as_json = as_json


def found(shown: Shown | None, answer: Any) -> int:
    """Print what a verb has returned; returns the exit code, which is all that one without shown returns."""
    if shown is None:
        return answer or 0
    whole = answer if isinstance(answer, Found) else Found(answer)
    if _Now.as_json:
        data = {"done": whole.data} if isinstance(whole.data, str) else whole.data
        print(tables.as_json(data), end="")
    else:
        print((whole.shown or shown)(whole.data), end="")
    for line in whole.notes:
        print(line, file=sys.stderr)
    return whole.code


def complain(error: InvirtError, name: str) -> None:
    """Print what was wrong, then what to do, on stderr, harmless to a terminal; beside JSON, as JSON, too."""
    print(f"{name}: {one_line(error.message)}", file=sys.stderr)
    for line in error.hint.splitlines():
        print(f"  {one_line(line)}", file=sys.stderr)
    if _Now.as_json:
        record = {"error": error.message, "hint": error.hint, "code": error.exit_code}
        print(tables.as_json(record), end="")
