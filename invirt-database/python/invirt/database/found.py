"""Which server was last seen to have the database: a word of invirt-database-seek@ROLE to all of a role.

It says whom to ask first, and whom not to wait for any longer.  Whether a server has the database
it tells itself, each time, so that nobody is let in by a word that is old or wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from invirt import config

FOLDER = Path("/run/invirt")
FILE = "servers.env"  # which systemd reads, too, for daemons that are no programs of ours
VARIABLE = "INVIRT_DATABASE"  # the servers, in the order in which they are asked
LONGEST = 4096  # bytes


def folder(role: str) -> Path:
    """Where a role's seeker writes."""
    return FOLDER / f"database-{role}"


def line(servers: Iterable[str]) -> str:
    """The file's content."""
    return f"{VARIABLE}={','.join(servers)}\n"


def first(role: str | None) -> str:
    """The server to be asked first; empty where nobody knows, or says what can't be."""
    known = config.database.all
    if not role or len(known) < 2:
        return ""
    said = _read(folder(role) / FILE).strip().removeprefix(f"{VARIABLE}=").partition(",")[0]
    return said if said in known else ""


def _read(path: Path) -> str:
    """Empty if it can't be read; whoever may write there holds up no reader, by a pipe for instance."""
    try:
        with open(path, "rb", opener=_open) as file:
            return (file.read(LONGEST) or b"").decode("ascii", "replace")
    except OSError:
        return ""


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
