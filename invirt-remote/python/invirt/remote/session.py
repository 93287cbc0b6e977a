"""A command's own connection to the database: made at the first question, used for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from invirt.database import connection


class _Kept:
    connection: Any = None


def is_open() -> bool:
    """Whether the database has been reached, and is still."""
    return _Kept.connection is not None and not _Kept.connection.closed


def connected() -> connection.Connection:
    """The connection, for work that takes one.  Raises Unreachable."""
    if not is_open():
        connection.role = "remote"
        _Kept.connection = connection.connect()
    kept: connection.Connection = _Kept.connection
    return kept


def let_go() -> None:
    """Close the connection, for one who will not ask for long."""
    if is_open():
        _Kept.connection.close()


@contextmanager
def transaction() -> Iterator[Any]:
    """A cursor of named tuples; its work is committed at the end.  Raises InvirtError."""
    with connection.transaction(connected()) as cursor:
        yield cursor
