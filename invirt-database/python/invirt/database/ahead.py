"""A connection that is made before anyone asks, for the one program that takes it: see invirt.base.warm."""

from __future__ import annotations

import psycopg2

from invirt.base import kerberos
from invirt.base.errors import InvirtError
from invirt.database import connection

ANSWER = 0.3  # seconds in which the database must say that it is there


class Ahead:
    """Signed on as a kind of server.  Raises InvirtError.

    seconds: for which it may be used; Kerberos' tickets are no longer good then.
    """

    def __init__(self, role: str) -> None:
        connection.role = role
        encrypted = connection.settings()["gssencmode"] == "require"
        if encrypted:
            kerberos.use_host_keytab()
        self.seconds = kerberos.seconds_left() if encrypted else float("inf")
        self.connection = connection.connect()
        connection.ahead.append(self.connection)

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
