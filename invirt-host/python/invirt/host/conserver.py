"""The consoles that this host's conserver serves: those of the machines that run here."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from invirt.base import conserver
from invirt.database.connection import Connection

CHANNEL = "consoles"
EVERY = 30.0  # seconds between looks without word of a change
MASTER = "127.0.0.1"  # this host, however its name resolves

HERE = """
SELECT m.name FROM machines m JOIN hosts h USING (host_id) WHERE %s IN (h.hostname, h.name) ORDER BY m.name
"""


def lines(names: Iterable[str]) -> list[str]:
    """A line for each machine."""
    return [conserver.console(name, MASTER) for name in names]


def update(connected: Connection, keeper: conserver.Keeper, host: str = "") -> None:
    """Bring the list up to date.  host: this one's name, by default as it knows it itself."""
    with connected.cursor() as cursor:
        cursor.execute(HERE, (host or socket.getfqdn(),))
        keeper.update(lines(row[0] for row in cursor.fetchall()))
