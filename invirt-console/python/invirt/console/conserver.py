"""The consoles that the console server's conserver knows: each leads to its machine's host.

ssh logins don't come by it: they ask the database.  It is for administrators,
who say `console NAME`.
"""

from __future__ import annotations

from collections.abc import Iterable

from invirt.base import conserver
from invirt.database.connection import Connection

CHANNEL = "consoles"
EVERY = 30.0  # seconds between looks without word of a change

RUNNING = "SELECT name, hostname FROM console.machines WHERE hostname IS NOT NULL ORDER BY name"


def lines(rows: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each machine that runs somewhere."""
    return [conserver.console(name, hostname) for name, hostname in rows]


def update(connected: Connection, keeper: conserver.Keeper) -> None:
    """Bring the list up to date."""
    with connected.cursor() as cursor:
        cursor.execute(RUNNING)
        keeper.update(lines(cursor.fetchall()))
