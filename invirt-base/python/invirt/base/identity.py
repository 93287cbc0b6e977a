"""Which server this is, as Kerberos has it, and what the database calls it."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from invirt import config
from invirt.base.kerberos import KEYTAB

LONGEST = 63  # letters that PostgreSQL keeps of a role's name


def hostname() -> str:
    """The full name in the first entry of the host's keytab, as which it signs on; else the system's."""
    named = os.environ.get("KRB5_CLIENT_KTNAME", KEYTAB).removeprefix("FILE:")
    try:
        components = _first(Path(named).read_bytes())
    except (OSError, struct.error):
        components = []
    return components[1] if len(components) == 2 else socket.getfqdn()


def _first(keytab: bytes) -> list[str]:
    """The components of the first principal of a keytab of MIT's version 2; raises struct.error.

    A length of less than 0 is of a hole, where an entry was removed.
    """
    at = 2
    while (length := struct.unpack_from(">i", keytab, at)[0]) <= 0:
        at += 4 + (-length or len(keytab))
    count, realm = struct.unpack_from(">HH", keytab, at + 4)
    at += 8 + realm
    found = []
    for _ in range(count):
        (length,) = struct.unpack_from(">H", keytab, at)
        found.append(keytab[at + 2 : at + 2 + length].decode("ascii", "replace"))
        at += 2 + length
    return found


def database_role(kind: str, server: str) -> str:
    """A server's role in PostgreSQL, e.g. invirt_host.host1.example.org; a long name ends in a sum."""
    name = f"invirt_{kind}.{server}"
    if len(name) > LONGEST:
        import hashlib  # only for those that are too long

        name = f"{name[:46]}.{hashlib.sha256(server.encode()).hexdigest()[:16]}"
    return name


def own_database_role(kind: str) -> str:
    """Who this server is to the database as one of a kind; through a socket here, any of that kind."""
    local = config.database.hostname.startswith("/")
    return f"invirt_{kind}" if local else database_role(kind, hostname())
