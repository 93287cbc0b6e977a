"""The one connection to the database of all streams, in a thread of its own.

It answers, and passes on word of changes.  A word is a hint that makes somebody
look, and no more: what it is about is asked of the views.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NoReturn

import psycopg2
from psycopg2.extras import NamedTupleCursor

from invirt import config
from invirt.base import log
from invirt.base.errors import InvirtError, Unreachable
from invirt.database import connection, reach
from invirt.database.follow import words
from invirt.database.refusals import explain

CHANNELS = ("operations", "consoles")
ALIVE = 5.0  # seconds of silence until it is asked whether it is there
RETRY = 0.5  # seconds between two tries
MOST = 4096  # questions that wait
PROGRAM = "invirt-web-streams"


@dataclass
class Question:
    """What is to be asked, and for whom.  again: it met the end of a connection, and is asked once more."""

    query: str
    values: Mapping[str, object]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[list[Any]]
    again: bool = False

    def settle(self, found: list[Any] | Exception) -> None:
        """Hand it on to who asked."""
        self.loop.call_soon_threadsafe(self._settle, found)

    def _settle(self, found: list[Any] | Exception) -> None:
        if self.answer.done():
            return
        if isinstance(found, Exception):
            self.answer.set_exception(found)
        else:
            self.answer.set_result(found)


class Database:
    """word: called in the thread for each word, with its channel and what it says; "" says: look at all."""

    def __init__(self, word: Callable[[str, str], None]) -> None:
        self._word = word
        self._waiting: deque[Question] = deque()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def start(self) -> None:
        """It ends with the process."""
        threading.Thread(target=self._run, daemon=True).start()

    async def rows(self, query: str, values: Mapping[str, object]) -> list[Any]:
        """The rows of a query, as named tuples.  Raises InvirtError."""
        if len(self._waiting) >= MOST:
            raise Unreachable("the database has too much to do", hint="Try again in a minute.")
        loop = asyncio.get_running_loop()
        question = Question(query, values, loop, loop.create_future())
        self._waiting.append(question)
        os.eventfd_write(self._wake, 1)
        return await question.answer

    def _run(self) -> NoReturn:
        connection.role, lost = "web", False
        while True:
            made: connection.Connection | None = None
            try:
                made = reach.connect(config.database.connect_timeout)
                lost = False
                with closing(made):
                    self._serve(made)
            except (InvirtError, psycopg2.Error) as error:
                told = _plain(error)
                if not lost:
                    log.write(f"lost the database: {str(told).splitlines()[0]}", log.WARNING, program=PROGRAM)
                lost = True
                if made is None:
                    self._refuse(told)
                    time.sleep(RETRY)

    def _refuse(self, error: Exception) -> None:
        while self._waiting:
            self._waiting.popleft().settle(error)

    def _serve(self, made: connection.Connection) -> NoReturn:
        made.set_session(readonly=True, autocommit=True)
        made.patience = config.database.connect_timeout
        with made.cursor() as cursor:
            for channel in CHANNELS:
                cursor.execute(f'LISTEN "{channel}"')
        for channel in CHANNELS:
            self._word(channel, "")  # some may have been missed
        while True:
            come, ready = words(made, ALIVE, [self._wake])
            if self._wake in ready:
                os.eventfd_read(self._wake)
            elif not ready and not come:
                connection.check(made)  # which says nothing, too, while it is frozen
            for word in come:
                self._word(word.channel, word.payload)
            while self._waiting:
                self._answer(made, self._waiting.popleft())

    def _answer(self, made: connection.Connection, question: Question) -> None:
        """What the database says; a question that met the end of a connection is asked once more."""
        try:
            cursor: Any = made.cursor(cursor_factory=NamedTupleCursor)
            with cursor:
                cursor.execute(question.query, question.values)
                question.settle(cursor.fetchall())
        except (InvirtError, psycopg2.Error) as error:
            if made.closed and isinstance(error, psycopg2.Error) and not question.again:
                question.again = True
                self._waiting.appendleft(question)
            else:
                question.settle(_plain(error))
            if made.closed:
                raise


def _plain(error: Exception) -> Exception:
    """What is wrong with the database, as whoever asked is told; what is a bug of ours stays as it is."""
    return explain(error) if isinstance(error, psycopg2.Error) else error
