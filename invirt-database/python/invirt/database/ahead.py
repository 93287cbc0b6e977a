"""A connection that is made before anyone asks, for the one program that takes it: see invirt.base.warm."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg2

from invirt.base import kerberos
from invirt.base.errors import InvirtError
from invirt.database import connection

ANSWER = 0.3  # seconds in which the database must say that it is there


class _Enough(Exception):
    """Ends a transaction that is not to count."""


class Ahead:
    """Signed on as a kind of server.  Raises InvirtError.

    usual: asks what most programs ask; a session's first question of a kind takes ten
    times as long as the second.  Nothing of it stays.  seconds: for which the session may be
    used; Kerberos' tickets are no longer good then.
    """

    def __init__(self, role: str, usual: Callable[[Any], object]) -> None:
        connection.role = role
        encrypted = connection.settings()["gssencmode"] == "require"
        if encrypted:
            kerberos.use_host_keytab()
        self.seconds = kerberos.seconds_left() if encrypted else float("inf")
        self.connection = connection.connect()
        with suppress(_Enough), connection.transaction(self.connection) as cursor:
            usual(cursor)
            raise _Enough
        connection.ahead.append(self.connection)

    def leave(self) -> None:
        """End it: nobody takes it."""
        connection.ahead.clear()
        self.connection.close()

    def fileno(self) -> int:
        """Readable when the server has hung up, or says something unasked."""
        return self.connection.fileno()

    def is_alive(self) -> bool:
        """Whether the database answers; one that doesn't is no longer taken."""
        usual, self.connection.patience = self.connection.patience, ANSWER
        try:
            self.connection.autocommit = True  # one exchange, no transaction around it
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            self.connection.autocommit = False
        except (psycopg2.Error, InvirtError):
            return False
        self.connection.patience = usual
        return True
