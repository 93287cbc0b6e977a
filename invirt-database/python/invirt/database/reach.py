"""A connection for daemons whose callers can't wait: a deadline that holds for Kerberos, too.

Kerberos' library knows no timeout: a KDC that is frozen, or cut off, holds up whoever
needs a ticket for half a minute, and psycopg2 keeps Python's lock, and so all threads,
all that while.  So libpq itself connects first, in a thread of its own and without
that lock.  The tickets are in the cache then, and connect() asks no KDC.
"""

from __future__ import annotations

import ctypes
import threading
from concurrent.futures import Future
from typing import Any

import psycopg2
from psycopg2.extensions import make_dsn

from invirt.base import kerberos
from invirt.base.errors import Unreachable
from invirt.database import connection

_GOOD = 0  # CONNECTION_OK of libpq-fe.h


class _Last:
    """The last attempt, which all who come while it is under way wait for."""

    guard = threading.Lock()
    attempt: Future[None] | None = None


def connect(seconds: float) -> connection.Connection:
    """See connection.connect(); Unreachable if Kerberos and the database take longer than seconds."""
    wanted = connection.settings()
    if wanted["gssencmode"] == "require":
        kerberos.use_host_keytab()
        try:
            _attempt(wanted).result(seconds)
        except TimeoutError:
            hint = "Look whether the KDC and the database's server answer."
            raise Unreachable(f"no connection to the database on {wanted['host']} in time", hint) from None
    return connection.connect()


def _attempt(wanted: dict[str, Any]) -> Future[None]:
    """The attempt that is under way, or a new one."""
    with _Last.guard:
        if _Last.attempt is None or _Last.attempt.done():
            _Last.attempt = Future()
            threading.Thread(target=_try, args=(_Last.attempt, wanted), daemon=True).start()
        return _Last.attempt


def _try(attempt: Future[None], wanted: dict[str, Any]) -> None:
    try:
        _connect_once(wanted)
        attempt.set_result(None)
    except Exception as error:
        attempt.set_exception(error)


def _connect_once(wanted: dict[str, Any]) -> None:
    """Connect and close, by the libpq that psycopg2 uses; raises Unreachable."""
    libpq = ctypes.CDLL("libpq.so.5")
    libpq.PQconnectdb.restype = ctypes.c_void_p
    libpq.PQerrorMessage.restype = libpq.PQhost.restype = ctypes.c_char_p
    made = ctypes.c_void_p(libpq.PQconnectdb(make_dsn(**wanted).encode()))
    try:
        if libpq.PQstatus(made) != _GOOD:
            said = psycopg2.OperationalError(libpq.PQerrorMessage(made).decode(errors="replace"))
            raise connection.failure(said, wanted["host"], wanted["user"])
        connection.Last.server = libpq.PQhost(made).decode()
    finally:
        libpq.PQfinish(made)
