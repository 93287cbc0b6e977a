"""The type of a cursor whose rows are named tuples."""

from __future__ import annotations

from typing import Any, TypeAlias

# psycopg2's NamedTupleCursor: its rows have the names that the query gives
# them, which no type checker knows.
Cursor: TypeAlias = Any
