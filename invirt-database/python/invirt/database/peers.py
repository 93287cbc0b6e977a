"""The servers that may have the database, as they tell of themselves.

Where database.copies names several, each asks the others as PostgreSQL's own principal,
postgres/NAME, whose role may follow and ask such things, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import psycopg2

from invirt import config
from invirt.base import identity
from invirt.base.errors import BadConfig, InvirtError, Unreachable
from invirt.database import connection, roles, server

ASKING = "invirt asks"  # names of sessions
STEP_DOWN = "invirt: step down"  # who has the database ends when it sees that
LET_GO = "invirt: let go"  # who has a copy follows nobody while it sees that

# Strangers aren't told the state of who follows, only the name.
# The timeline is higher with each promotion; a copy's doesn't count.  Places in the journal are bytes.
TIMELINE = """
CASE WHEN pg_is_in_recovery() THEN 0
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END
"""
TOLD = f"""
SELECT pg_is_in_recovery(), {TIMELINE},
    (CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
        ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint,
    extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8,
    ARRAY(SELECT application_name FROM pg_stat_replication WHERE coalesce(state, 'streaming') = 'streaming'),
    current_setting('synchronous_standby_names') <> '',
    EXISTS (SELECT FROM pg_stat_wal_receiver)
"""


@dataclass(frozen=True)
class Peer:
    """What one told.  at: bytes of journal it has; age: seconds since its newest change was made there.

    receives: whether it is a copy that follows somebody.
    """

    hostname: str
    copy: bool
    timeline: int
    at: int
    age: float | None
    followers: tuple[str, ...]
    synchronous: bool
    receives: bool

    @property
    def rank(self) -> tuple[int, int]:
        """Of two that both have the database the higher one is right: it was promoted later."""
        return rank(self.hostname, self.timeline)


def rank(hostname: str, timeline: int) -> tuple[int, int]:
    """By timeline; of two alike the one that invirt.yaml names first."""
    names = config.database.all
    return timeline, -names.index(hostname) if hostname in names else -len(names)


def own() -> str:
    """This server's name among them, as its PostgreSQL's keytab has it."""
    for name, value in server.ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    return identity.hostname()


def others() -> list[str]:
    """All that may have it, but this one.  Raises BadConfig where this is none of several."""
    names = config.database.all
    if len(names) < 2:
        return []
    if (me := own()) not in names:
        raise BadConfig(
            f"PostgreSQL's keytab is of {me}, which invirt.yaml doesn't name",
            "Servers of database.hostname and database.copies are named as in their keytabs.",
        )
    return [name for name in names if name != me]


def connect(hostname: str, name: str = ASKING) -> connection.Connection:
    """A session there, called name.  Raises Unreachable."""
    own()
    made = connection.connect_to(hostname, roles.STANDBY, name)
    made.autocommit = True
    return made


def ask(hostname: str) -> Peer:
    """What it tells.  Raises Unreachable."""
    try:
        with closing(connect(hostname)) as connected:
            return told(connected, hostname)
    except psycopg2.Error as error:
        raise Unreachable(f"the database on {hostname} went away: {str(error).strip()}") from error


def told(connected: connection.Connection, hostname: str) -> Peer:
    """What the server at the other end tells."""
    with connected.cursor() as cursor:
        cursor.execute(TOLD)
        ((copy, timeline, at, age, followers, synchronous, receives),) = cursor.fetchall()
    follow = tuple(name for name in config.database.all if name in followers)  # and no backup that is made
    return Peer(hostname, copy, timeline, at, age, follow, synchronous, receives)


def look(names: Iterable[str]) -> dict[str, Peer | InvirtError]:
    """What each tells, or why it doesn't; all are asked at once."""
    asked = list(names)
    with ThreadPoolExecutor(len(asked) or 1) as pool:
        return dict(zip(asked, pool.map(_answer, asked), strict=True))


def _answer(hostname: str) -> Peer | InvirtError:
    try:
        return ask(hostname)
    except InvirtError as error:
        return error


def answering(found: dict[str, Peer | InvirtError]) -> list[Peer]:
    """Those that told something."""
    return [one for one in found.values() if isinstance(one, Peer)]
