"""What pages read: each in one transaction that can't write, on a connection that its thread keeps."""

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


class _Thread(threading.local):
    connection: connection.Connection | None = None
    cursor: Any = None


_kept = _Thread()


def rows(query: str, values: Mapping[str, object] | None = None) -> list[Any]:
    """The rows of a query, as named tuples; all until done() see the same.  Raises InvirtError."""
    if _kept.cursor is None:
        _begin()
    try:
        _kept.cursor.execute(query, values)
        found: list[Any] = _kept.cursor.fetchall()
    except psycopg2.Error as error:
        raise explain(error) from error
    return found


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
        with suppress(psycopg2.Error, InvirtError):
            kept.rollback()


def _begin() -> None:
    """A transaction, on a new connection where the one that was kept is not good any more."""
    if _kept.connection and not _kept.connection.closed:
        with suppress(psycopg2.Error, InvirtError):
            _take(_kept.connection)
            return
        _kept.connection.close()
    connection.role = "web"
    made = connection.connect()
    made.set_session(isolation_level="REPEATABLE READ", readonly=True)
    _kept.connection = made
    _take(made)


def _take(made: connection.Connection) -> None:
    """See whether it is good, with no more patience than a new one would be given."""
    cursor: Any = made.cursor(cursor_factory=NamedTupleCursor)
    patience, made.patience = made.patience, config.database.connect_timeout
    cursor.execute("SELECT")
    made.patience = patience
    _kept.cursor = cursor
