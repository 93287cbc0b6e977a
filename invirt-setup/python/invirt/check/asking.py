"""What the database says to a server as one of its roles: whether it lets it in, and what it was told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg2

from invirt.base.errors import InvirtError
from invirt.database import connection, reach

PATIENCE = 10.0  # seconds for the KDC and the database together

# What each kind of server reads all day long.
READS = {
    "database": ("machines", "hosts", "operations"),
    "remote": ("machines", "hosts", "operations", "reservations", "access"),
    "host": ("machines", "hosts", "reservations", "host_signs"),
    "console": ("console.machines", "console.principals", "console.keys"),
    "web": ("web.machines", "web.hosts", "web.operations", "access"),
    "dns": ("dns.domains", "dns.records"),
    "dhcp": ("dhcp.hosts", "dhcp.dhcp4_options", "dhcp.lease4"),
}
HOSTS = {
    "database": "SELECT hostname::text FROM hosts",
    "remote": "SELECT hostname::text FROM hosts",
    "host": "SELECT hostname::text FROM hosts",  # itself alone
    "console": "SELECT DISTINCT hostname FROM console.machines WHERE hostname IS NOT NULL",
    "web": "SELECT hostname FROM web.hosts",
}
SILENT = """
SELECT h.hostname::text, extract(epoch FROM now() - s.seen_at)::float FROM hosts h
LEFT JOIN host_signs s USING (host_id) WHERE h.enabled AND coalesce(s.seen_at < now() - interval '15 s', true)
"""


@dataclass(frozen=True)
class Said:
    """What the database says.

    ahead: seconds by which its clock is ahead of ours.  version: of its tables; None:
    it is older than what tells.  packages: the version of those on its own server, empty
    where it wasn't told.  sections: digests of invirt.yaml, as it was told.  refused: what
    may not be read, and why.  silent: seconds for which hosts that should run guests said
    nothing, None where they never did.
    """

    ahead: float = 0.0
    version: str | None = None
    packages: str = ""
    sections: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    silent: Mapping[str, float | None] = field(default_factory=dict)


def ask(roles: Iterable[str], now: Callable[[], float]) -> Mapping[str, Said | InvirtError]:
    """What it says to each of the roles, or why it says nothing."""
    return {role: _asked(role, now) for role in roles}


def _asked(role: str, now: Callable[[], float]) -> Said | InvirtError:
    before = connection.role
    connection.role = None if role == "database" else role
    try:
        with closing(reach.connect(PATIENCE)) as connected:
            connected.autocommit = True
            with connected.cursor() as cursor:
                return _said(cursor, role, now)
    except psycopg2.Error as error:
        return connection.failure(error, connection.settings()["host"], f"invirt_{role}")
    except InvirtError as error:
        return error
    finally:
        connection.role = before


def _said(cursor: Any, role: str, now: Callable[[], float]) -> Said:
    refused = {view: why for view in READS[role] if (why := _refused(cursor, view))}
    sections = dict(_rows(cursor, "SELECT section, digest FROM site.sections"))
    return Said(
        ahead=_ahead(cursor, now),
        version=next((row[0] for row in _rows(cursor, "SELECT version FROM site.schema")), None),
        packages=next((row[0] for row in _rows(cursor, "SELECT version FROM site.packages")), ""),
        sections=sections,
        hosts=tuple(row[0] for row in _rows(cursor, HOSTS[role])) if role in HOSTS else (),
        refused=refused,
        silent=dict(_rows(cursor, SILENT)) if role == "database" else {},
    )


def _ahead(cursor: Any, now: Callable[[], float]) -> float:
    """The middle between question and answer is when it was said."""
    asked = now()
    cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
    said: float = cursor.fetchone()[0]
    return said - (asked + now()) / 2


def _refused(cursor: Any, view: str) -> str:
    """Why view can't be read, or ""."""
    try:
        cursor.execute(f"SELECT FROM {view} LIMIT 0")
    except psycopg2.Error as error:
        return str(error).splitlines()[0]
    return ""


def _rows(cursor: Any, query: str) -> list[Any]:
    """What a question finds; nothing where it may not be asked, or of the version before."""
    try:
        cursor.execute(query)
    except psycopg2.Error:
        return []
    found: list[Any] = cursor.fetchall()
    return found
