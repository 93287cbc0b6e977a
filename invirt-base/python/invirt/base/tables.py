"""Output for people (aligned columns) and for programs (JSON)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from invirt.base.log import one_line

UNITS = {"s": 1, "min": 60, "h": 3600}  # seconds; each is used for less than 120 of it


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell; numbers are to the right, an empty cell is a dash."""
    shown = [[one_line(str(cell)) if cell not in (None, "") else "-" for cell in row] for row in rows]
    columns = [_column(cells) for cells in zip(headings, *shown, strict=True)]
    return "".join("  ".join(line).rstrip() + "\n" for line in zip(*columns, strict=True))


def _column(cells: Sequence[str]) -> list[str]:
    """The heading and what is below it, all of one width."""
    width = max(map(len, cells))
    numbers = all(cell.isdigit() for cell in cells[1:])
    return [cell.rjust(width) if numbers else cell.ljust(width) for cell in cells]


def facts(pairs: Mapping[str, object]) -> str:
    """One fact a line, the names aligned; what is empty is left out."""
    width = max(map(len, pairs), default=0)
    shown = {name: one_line(str(value)) for name, value in pairs.items() if value not in (None, "")}
    return "".join(f"{name + ':':{width + 1}} {value}\n" for name, value in shown.items())


def one_line_json(value: Any) -> str:
    """value as JSON for another server."""
    return json.dumps(value) + "\n"


def as_json(value: Any) -> str:
    """value as JSON that is also pleasant to read."""
    return json.dumps(value, indent=2) + "\n"


def ago(seconds: int) -> str:
    """So long ago, in words."""
    for unit, size in UNITS.items():
        if seconds < 120 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds // 86400} days ago"
