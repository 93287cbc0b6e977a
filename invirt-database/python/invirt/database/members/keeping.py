"""Keeps members true to their sources: asks those that are due, a few at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

from invirt import config
from invirt.base import log
from invirt.base.errors import InvirtError
from invirt.database import follow, roles
from invirt.database.connection import Connection
from invirt.database.members import asking

PROGRAM = "invirt-database-members"
AT_ONCE = 4  # sources that are asked at the same time
ROUND = 16  # sources that are asked before it is looked anew what is due
EVERY = 5.0  # seconds between two looks, where no word comes
RETRY = 60.0  # seconds until a source that failed is asked again

DUE = """
SELECT owner_id, kind, name, error FROM sources WHERE due_at <= now() AND kind = ANY (%s)
ORDER BY due_at LIMIT %s
"""
ANSWERED = "SELECT source_answered(%s, %s, %s, %s)"
FAILED = "SELECT source_failed(%s, %s, %s, %s)"

Ask = Callable[[str, str], list[str]]


def turn(cursor: Any, ask: Ask = asking.ask_apart) -> int:
    """Ask the sources that are due, and keep what they tell; returns how many there were."""
    cursor.execute(DUE, (list(config.owners.sources), ROUND))
    due = cursor.fetchall()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = pool.map(lambda row: _asked(ask, *row[1:3]), due)
        for (owner, kind, name, before), found in zip(due, answers, strict=True):
            _keep(cursor, owner, f"{kind}:{name}", before, found)
    return len(due)


def _asked(ask: Ask, kind: str, name: str) -> list[str] | str:
    """What the source told, or why it told nothing."""
    try:
        return ask(kind, name)
    except InvirtError as error:
        return " ".join(error.message.split())[:200] or "it failed"


def _keep(cursor: Any, owner: int, source: str, before: str, found: list[str] | str) -> None:
    if isinstance(found, str):
        if found != before:
            log.write(f"{source} tells nothing: {found}", log.WARNING, program=PROGRAM)
        shown = "".join(letter if letter.isprintable() else "?" for letter in found)
        cursor.execute(FAILED, (owner, source, shown, min(RETRY, config.owners.refresh)))
        return
    cursor.execute(ANSWERED, (owner, source, found, float(config.owners.refresh)))
    if before:
        log.write(f"{source} tells again", program=PROGRAM)


def _work(connected: Connection) -> None:
    """Ask until nothing is due.  A copy of the database asks nobody."""
    with connected.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        if cursor.fetchone() == (False,):
            while turn(cursor) == ROUND:
                pass


def run() -> NoReturn:
    """For ever."""
    follow.follow("sources", EVERY, _work, user=roles.MEMBERS)
