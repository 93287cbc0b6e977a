"""The one place that connects to the database.

A program says which kind of server it runs on (connection.role = "remote")
and then uses transaction().  Without a role it comes as the schema's owner,
which only root and postgres on the database server can.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2.extras import NamedTupleCursor

from invirt import config
from invirt.base import identity, kerberos
from invirt.base.errors import InvirtError, Unreachable
from invirt.database import found
from invirt.database.refusals import explain

role: str | None = None
ahead: list[Connection] = []  # made before anyone asked, as that role: the first to connect takes it
_handed_on: list[Connection] = []  # a child's by now; here nothing may be said to them, not even their end


class Last:
    """Where the database was when it was last connected to: asked first, unless `found` tells."""

    server = ""


LOCAL_SOCKET = "/run/postgresql"
# Who only listens must notice, too, that the server has no power any more: after 15 seconds.
SILENCE = {"keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 2}
GRACE = 2  # seconds that the server has beyond statement_timeout to say that it gave up
LOOK = 1.0  # seconds of silence after which one looks whether another server has the database by now
ROAMING = "read-write"  # of target_session_attrs: whichever server has the database


class Connection(psycopg2.extensions.connection):
    """A connection that gives up: a server may be frozen, or the network to it cut.

    patience: seconds that each exchange may take; None is for ever.
    """

    def __init__(self, dsn: str, *more: Any, **named: Any) -> None:
        self.patience: float | None = config.database.connect_timeout
        self.roams = f"target_session_attrs={ROAMING}" in dsn
        super().__init__(dsn, *more, **named)
        self.patience = config.database.statement_timeout + GRACE

    def is_outdated(self) -> bool:
        """Whether another server has the database by now than the one that is waited for."""
        return self.roams and found.first(role) not in ("", self.info.host)


def hand_on() -> None:
    """What was made ahead is a forked child's from now on."""
    _handed_on.extend(ahead)
    ahead.clear()


def settings(user: str = "") -> dict[str, Any]:
    """libpq's parameters for this process: by GSSAPI, encrypted, unless through a socket.

    Of several servers the one is taken that has the database, and not a copy.
    user: another role than this process' own.
    """
    database = config.database
    local = not role or database.hostname.startswith("/")
    folder = database.hostname if database.hostname.startswith("/") else LOCAL_SOCKET
    return {
        "host": folder if local else ",".join(_ordered(database.all)),
        "target_session_attrs": "any" if local else ROAMING,
        "port": database.port,
        "dbname": database.name,
        "user": user or (identity.own_database_role(role) if role else "invirt"),
        "gssencmode": "disable" if local else "require",
        "connect_timeout": database.connect_timeout,
        **SILENCE,
        "tcp_user_timeout": (database.statement_timeout + GRACE) * 1000,
        "options": f"-c statement_timeout={database.statement_timeout}s -c lock_timeout={_lock_timeout()}ms",
        "application_name": f"invirt-{role or 'admin'}",
    }


def _ordered(servers: tuple[str, ...]) -> list[str]:
    """First the one that has the database as far as is known, then as invirt.yaml has them."""
    first = found.first(role)
    return sorted(servers, key=lambda server: (server != first, server != Last.server))


def _lock_timeout() -> int:
    """Milliseconds: who waits for a row waits twice, for its turn and then for the row, and both
    must end before the statement does, so that "busy" is said, and not that the database failed."""
    return config.database.statement_timeout * 450


def connect(user: str = "") -> Connection:
    """A new connection, see settings().  Raises Unreachable when there is none within connect_timeout."""
    if ahead and not user:
        return ahead.pop()
    wanted = settings(user)
    if wanted["gssencmode"] == "require":
        kerberos.use_host_keytab()
    psycopg2.extensions.set_wait_callback(_wait)
    *others, last = _orders(wanted["host"])
    for hosts in others:
        with suppress(psycopg2.Error, Unreachable):
            return _connected({**wanted, "host": hosts})
    return _connected({**wanted, "host": last})


def connect_to(hostname: str, user: str, application: str) -> Connection:
    """A connection to one server, has it the database or a copy, by GSSAPI.  Raises Unreachable."""
    psycopg2.extensions.set_wait_callback(_wait)
    how = {"target_session_attrs": "any", "gssencmode": "require", "application_name": application}
    return _connected({**settings(user), **how, "host": hostname})


def _orders(hosts: str) -> list[str]:
    """Of the servers each as the first, once: libpq goes past one that refuses, not past a silent one."""
    names = hosts.split(",")
    return [",".join(names[first:] + names[:first]) for first in range(len(names))]


def _connected(wanted: dict[str, Any]) -> Connection:
    try:
        made: Connection = psycopg2.connect(connection_factory=Connection, **wanted)
    except psycopg2.Error as error:
        raise failure(error, wanted["host"], wanted["user"]) from error
    Last.server = made.info.host
    return made


def check(connection: Connection) -> None:
    """Raise Unreachable, or psycopg2.Error, unless the server answers at once; it may be frozen."""
    before, connection.patience = connection.patience, config.database.connect_timeout
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connection.patience = before


def failure(error: psycopg2.Error, host: str, user: str) -> Unreachable:
    """Why there is no connection; libpq tells a refusal from silence by its words alone."""
    said = " ".join(str(error).split())
    if any(words in said for words in ("authentication failed", "pg_hba.conf", "does not exist")):
        hint = "Look at this server's keytab and the database server's /etc/invirt/postgresql."
        return Unreachable(f"the database on {host} refuses {user}: {said}", hint)
    if said == "asynchronous connection failed":  # amid the exchange of tickets, without a word
        hint = "If that lasts, PostgreSQL there can't read its keytab, /etc/postgresql-common/krb5.keytab."
        return Unreachable(f"the database on {host} hangs up instead of checking {user}'s ticket", hint)
    return Unreachable(f"the database on {host} doesn't answer: {said}", hint="Try again in a minute.")


@contextmanager
def transaction(
    connection: Connection | None = None,
) -> Iterator[Any]:
    """A cursor of named tuples whose work is committed at the end, or rolled back at an exception.

    connection: one to be used and left open; else the one that was made ahead, or a new one for
    this transaction.  Raises InvirtError (see invirt.database.refusals) for what the
    database refuses or can't do.
    """
    if connection is None:
        kept, fresh = bool(ahead), connect()
        try:
            with transaction(fresh) as cursor:
                yield cursor
        except BaseException:
            fresh.close()
            raise
        if kept:
            ahead.append(fresh)  # for the program's next
        else:
            fresh.close()
        return
    try:
        with connection, connection.cursor(cursor_factory=NamedTupleCursor) as cursor:
            yield cursor
    except psycopg2.Error as error:
        first = error.__context__  # what broke the connection, which then can't roll back
        if isinstance(first, InvirtError):
            raise first from None
        raise explain(first if isinstance(first, psycopg2.Error) else error) from error


def _wait(connection: psycopg2.extensions.connection) -> None:
    """Wait for libpq as long as the connection's patience lasts.

    psycopg2 calls this for every exchange of every connection of the process,
    connecting included, and closes the connection when it raises.
    """
    patience = connection.patience if isinstance(connection, Connection) else None
    deadline = None if patience is None else time.monotonic() + patience
    events = {psycopg2.extensions.POLL_READ: select.POLLIN, psycopg2.extensions.POLL_WRITE: select.POLLOUT}
    while (state := connection.poll()) != psycopg2.extensions.POLL_OK:
        poller = select.poll()
        poller.register(connection.fileno(), events[state])
        while not poller.poll(1000 * min(LOOK, _left(deadline))):
            if not _left(deadline):
                raise Unreachable("the database doesn't answer in time", hint="Try again in a minute.")
            if isinstance(connection, Connection) and connection.is_outdated():
                raise Unreachable("another server has the database now", hint="Try again.")


def _left(deadline: float | None) -> float:
    """Seconds until then."""
    return float("inf") if deadline is None else max(0.0, deadline - time.monotonic())
