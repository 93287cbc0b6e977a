"""One kept connection for a daemon whose callers can't wait.

File systems and name services are asked by programs, sshd and init among
them, that would hang with us.  So each question has a deadline of its own, and
the connection is used by one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg2

from invirt.base.errors import Unreachable
from invirt.database import connection, reach

Row = tuple[Any, ...]


class Asker:
    """Answers questions from the database, each within `deadline` seconds.  Safe for threads."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._thread = ThreadPoolExecutor(1, "asker")
        self._connection: connection.Connection | None = None  # that thread's

    def rows(self, query: str, values: Sequence[object] = ()) -> list[Row]:
        """All rows; raises Unreachable when there is no answer in time."""
        asked: Future[list[Row]] = self._thread.submit(self._ask, query, values)
        try:
            return asked.result(self.deadline)
        except TimeoutError:
            asked.cancel()  # if it hasn't begun: nobody waits for it any more
            raise Unreachable("the database doesn't answer in time") from None

    def _ask(self, query: str, values: Sequence[object]) -> list[Row]:
        if self._connection is not None:
            try:
                return self._fetch(self._connection, query, values)
            except (psycopg2.Error, Unreachable):  # restarted, perhaps: worth one new connection
                with closing(self._connection):
                    self._connection = None
        fresh = reach.connect(self.deadline)
        fresh.autocommit = True
        fresh.patience = self.deadline
        rows = self._fetch(fresh, query, values)
        self._connection = fresh
        return rows

    def _fetch(self, connected: connection.Connection, query: str, values: Sequence[object]) -> list[Row]:
        with connected.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()
