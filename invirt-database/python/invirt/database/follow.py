"""Waits for word from the database that something has changed (LISTEN and NOTIFY)."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, NoReturn

import psycopg2
from psycopg2.extensions import Notify

from invirt.base import log
from invirt.base.errors import InvirtError
from invirt.database import connection

GATHER = 0.05  # seconds in which further changes join the first
RETRY = 1.0  # seconds until a lost database is tried again


def follow(
    channel: str | None, every: float, work: Callable[[connection.Connection], None], user: str = ""
) -> NoReturn:
    """Call work with a connection at once, after each word on channel, if any, and every `every` seconds.

    Changes that come close together are one.  When the database is lost it is
    tried again until it answers; work is called then, since word may have been
    missed.  user: another role than this process' own.
    """
    lost = False
    while True:
        try:
            with closing(connection.connect(user)) as connected:
                connected.autocommit = True
                if channel:
                    with connected.cursor() as cursor:
                        cursor.execute(f'LISTEN "{channel}"')
                if lost:
                    log.write("the database answers again")
                lost = False
                while True:
                    connection.check(connected)  # one that is frozen would cost a statement's patience
                    work(connected)
                    _wait(connected, every)
        except (InvirtError, psycopg2.Error) as error:
            if not lost:
                log.write(f"lost the database, trying again: {str(error).splitlines()[0]}", log.WARNING)
            lost = True
            time.sleep(RETRY)


def words(
    connected: connection.Connection, seconds: float, others: Sequence[Any] = ()
) -> tuple[Sequence[Notify], Sequence[Any]]:
    """The words that have come, and who else is ready; waits for either, or so long.

    others: what select can wait for.  Word that came during a query, or with the
    end of a transaction, has been read with the answer: the socket doesn't tell
    of it any more.
    """
    connected.poll()
    wait = 0 if connected.notifies else seconds
    ready, _, _ = select.select([connected, *others], [], [], wait)
    connected.poll()
    come = list(connected.notifies)
    connected.notifies.clear()
    return come, ready


def _wait(connected: connection.Connection, every: float) -> None:
    """Until word comes or the time is over; what has come is taken."""
    if words(connected, every)[0]:
        time.sleep(GATHER)
        words(connected, 0)
