"""What pages read: each in one transaction that can't write, on a connection that its thread keeps.

A query is planned once for a connection: for most, that takes several times as long as the answer.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg2
from psycopg2.extras import NamedTupleCursor

from invirt import config
from invirt.base.errors import InvirtError
from invirt.database import connection
from invirt.database.refusals import explain

BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
MOST = 60  # queries that a connection keeps planned


class _Thread(threading.local):
    """planned: the statement of each query that the connection has planned."""

    connection: connection.Connection | None = None
    cursor: Any = None

    def __init__(self) -> None:
        self.planned: dict[str, str] = {}


class _Places(dict[str, str]):
    """$1, $2 and so on, for the names of a query's values."""

    def __missing__(self, name: str) -> str:
        return self.setdefault(name, f"${len(self) + 1}")


_kept = _Thread()


def rows(query: str, values: Mapping[str, object] | None = None) -> list[Any]:
    """The rows of a query, as named tuples; all until done() see the same.  Raises InvirtError."""
    if _kept.cursor is None:
        _begin()
    try:
        try:
            return _found(query, values)
        except psycopg2.errors.FeatureNotSupported:  # its view has got other columns
            _kept.cursor.connection.close()
            _begin()
            return _found(query, values)
    except psycopg2.Error as error:
        raise explain(error) from error


def one(query: str, values: Mapping[str, object] | None = None) -> Any:
    """The first row, or None."""
    found = rows(query, values)
    return found[0] if found else None


def administers(who: str) -> bool:
    """Whether somebody is an administrator of the site."""
    return one("SELECT FROM web.administrators WHERE principal = %(who)s", {"who": who}) is not None


def done() -> None:
    """The page is made."""
    kept, _kept.cursor = _kept.connection, None
    if kept and not kept.closed:
        with suppress(psycopg2.Error, InvirtError), kept.cursor() as cursor:
            cursor.execute("ROLLBACK")


def _found(query: str, values: Mapping[str, object] | None) -> list[Any]:
    _kept.cursor.execute(_kept.planned.get(query) or _plan(query, values is not None), values)
    found: list[Any] = _kept.cursor.fetchall()
    return found


def _plan(query: str, valued: bool) -> str:
    """The statement for a query that is new to this connection."""
    if len(_kept.planned) == MOST:
        _kept.cursor.execute("DEALLOCATE ALL")
        _kept.planned.clear()
    places, name = _Places(), f"q{len(_kept.planned)}"
    _kept.cursor.execute(f"PREPARE {name} AS {query % places if valued else query}")
    given = f"({', '.join(f'%({place})s' for place in places)})" if places else ""
    return _kept.planned.setdefault(query, f"EXECUTE {name}{given}")


def _begin() -> None:
    """A transaction, on a new connection where the one that was kept is not good any more."""
    if _kept.connection and not _kept.connection.closed:
        with suppress(psycopg2.Error, InvirtError):
            _take(_kept.connection)
            return
        _kept.connection.close()
    connection.role = "web"
    made = connection.connect()
    made.autocommit = True
    _kept.connection = made
    _kept.planned.clear()
    _take(made)


def _take(made: connection.Connection) -> None:
    """Begin, which shows whether it is good, with no more patience than a new one would be given."""
    cursor: Any = made.cursor(cursor_factory=NamedTupleCursor)
    patience, made.patience = made.patience, config.database.connect_timeout
    cursor.execute(BEGIN)
    made.patience = patience
    _kept.cursor = cursor
