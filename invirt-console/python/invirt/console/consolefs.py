"""What /consolefs holds: a home for each machine's login, straight from the database.

NAME/.k5login   the principals who may have the console of the machine
NAME/keys       their public keys, as sshd's AuthorizedKeysFile
NAME/host       the host on which the machine runs; empty when it is off

Nothing is kept: each open() is a question to the database, and no answer is
an error, so nobody is let in by an old or an empty list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from invirt.base import validate
from invirt.database.asker import Asker, Row

PROGRAM = "invirt-consolefs"
MOUNTPOINT = "/consolefs"
DEADLINE = 3.0  # seconds that an answer may take

NAMES = "SELECT name FROM console.machines ORDER BY name"
EXISTS = "SELECT 1 FROM console.machines WHERE name = %s"
OF_MACHINE = "WHERE machine_id = (SELECT machine_id FROM console.machines WHERE name = %s) ORDER BY 1"
PRINCIPALS = f"SELECT DISTINCT principal FROM console.principals {OF_MACHINE}"
KEYS = f"SELECT DISTINCT key FROM console.keys {OF_MACHINE}"
HOST = "SELECT hostname FROM console.machines WHERE name = %s AND hostname IS NOT NULL"


def k5login(rows: Iterable[Row]) -> str:
    """A .k5login: a principal a line, each of the whitelisted form."""
    good = [row[0] for row in rows if validate.passes(str(row[0]), validate.principal, PROGRAM)]
    return "".join(f"{principal}\n" for principal in good)


def keys(rows: Iterable[Row]) -> str:
    """An authorized_keys whose keys may open a terminal and nothing else."""
    good = [row[0] for row in rows if validate.passes(str(row[0]), validate.public_key, PROGRAM)]
    return "".join(f"restrict,pty {key}\n" for key in good)


def host(rows: Sequence[Row]) -> str:
    """The host's name in a line; nothing for a machine that is off."""
    return "".join(f"{row[0]}\n" for row in rows)


FILES: dict[str, tuple[str, Callable[[Sequence[Row]], str]]] = {
    ".k5login": (PRINCIPALS, k5login),
    "keys": (KEYS, keys),
    "host": (HOST, host),
}


class ConsoleFS:
    """The tree that invirt.base.snapshotfs serves."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def is_folder(self, path: str) -> bool | None:
        """See snapshotfs.Tree."""
        if path == "/":
            return True
        name, _, file = path.removeprefix("/").partition("/")
        is_name = validate.passes(name, validate.machine_name)
        if not is_name or (file and file not in FILES) or not self._asker.rows(EXISTS, (name,)):
            return None
        return not file

    def list(self, path: str) -> Iterable[str]:
        """See snapshotfs.Tree."""
        if path != "/":
            return list(FILES)
        return [str(row[0]) for row in self._asker.rows(NAMES)]

    def content(self, path: str) -> bytes:
        """See snapshotfs.Tree."""
        name, _, file = path.removeprefix("/").partition("/")
        query, render = FILES[file]
        rows = self._asker.rows(query, (name,))
        if not rows and not self._asker.rows(EXISTS, (name,)):
            raise FileNotFoundError(2, "No such file", path)
        return render(rows).encode()
