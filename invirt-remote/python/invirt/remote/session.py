"""A command's own connection to the database: made at the first question, used for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from invirt.database import connection


class _Kept:
    connection: Any = None


@contextmanager
def transaction() -> Iterator[Any]:
    """A cursor of named tuples; its work is committed at the end.  Raises InvirtError."""
    if _Kept.connection is None or _Kept.connection.closed:
        connection.role = "remote"
        _Kept.connection = connection.connect()
    with connection.transaction(_Kept.connection) as cursor:
        yield cursor
