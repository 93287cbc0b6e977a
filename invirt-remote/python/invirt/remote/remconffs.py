"""What /etc/remctl/remconffs holds: `conf`, a line a machine, and `acl/NAME`, who may control it.

All files are made from one snapshot of the database.  At each open() the
database is asked for the counter that every change of names and access
advances; only if it moved is the snapshot made anew, in one transaction.  So
what remctld reads is never stale and never half of two states.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from invirt.base import log, validate
from invirt.base.errors import Unreachable
from invirt.database.connection import transaction

PROGRAM = "invirt-remconffs"
MOUNTPOINT = "/etc/remctl/remconffs"
CONTROL = "/usr/sbin/invirt-remote-proxy-control"
WEB = "/etc/remctl/acl/web"
STRANGER = "ALL"  # acl/ALL, for names that no machine has: takes as long as any, lets no user in
DEADLINE = 15.0  # seconds that an open() waits for those before it

VERSION = "SELECT value FROM counters WHERE name = 'access'"
ACCESS = """
SELECT m.name, array(
    SELECT DISTINCT principal::text FROM access WHERE machine_id = m.machine_id ORDER BY 1) AS principals
FROM machines m ORDER BY m.name
"""


# Most values are those of the snapshot before.
accepted = functools.lru_cache(maxsize=1 << 17)(validate.passes)


@dataclass(frozen=True)
class Snapshot:
    """The whole content at one value of the counter; files by path."""

    version: int
    files: Mapping[str, bytes]

    def names(self, folder: str) -> list[str]:
        """The names of the files in folder (/ or /acl)."""
        if folder == "/":
            return ["conf", "acl"]
        return [path.removeprefix("/acl/") for path in self.files if path.startswith("/acl/")]


def acl(principals: Iterable[str]) -> str:
    """An ACL file.  Principals come first: a missing include denies at once."""
    lines = [principal for principal in principals if accepted(principal, validate.principal, PROGRAM)]
    return "".join(f"{line}\n" for line in [*lines, f"include {WEB}"])


def line(name: str) -> str:
    """The line of conf that leads to the machine's control program."""
    return f"control {name} {CONTROL} {MOUNTPOINT}/acl/{name}\n"


def render(version: int, access: Iterable[tuple[str, Iterable[str]]]) -> Snapshot:
    """The files for the machines and their principals."""
    machines = [(name, who) for name, who in access if accepted(name, validate.machine_name, PROGRAM)]
    files = {f"/acl/{name}": acl(who).encode() for name, who in machines}
    files[f"/acl/{STRANGER}"] = acl(()).encode()
    files["/conf"] = "".join(line(name) for name, _ in machines).encode()
    return Snapshot(version, files)


class RemConf:
    """The tree that invirt.base.snapshotfs serves.

    connect: makes a connection to the database.  One is kept between
    callbacks; when it has died (the database was restarted) a new one is made
    at once.  Safe for threads.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._connection: Any = None
        self._lock = threading.Lock()  # guards the connection and the snapshot
        self._last: Snapshot | None = None

    def is_folder(self, path: str) -> bool | None:
        """See snapshotfs.Tree."""
        if path in ("/", "/acl"):
            return True
        return False if path == "/conf" or path in self.snapshot().files else None

    def list(self, path: str) -> Iterable[str]:
        """See snapshotfs.Tree."""
        return self.snapshot().names(path)

    def content(self, path: str) -> bytes:
        """See snapshotfs.Tree."""
        try:
            return self.snapshot().files[path]
        except KeyError:
            raise FileNotFoundError(2, "No such file", path) from None

    def snapshot(self) -> Snapshot:
        """The content as the database has it now.  Raises Unreachable if it doesn't answer."""
        if not self._lock.acquire(timeout=DEADLINE):
            raise Unreachable("the database doesn't answer those who asked before")
        try:
            if self._connection is not None:
                try:
                    return self._ask()
                except Exception as error:  # the database was restarted: worth one new connection
                    log.write(f"connecting again: {error}", log.WARNING, program=PROGRAM)
                    self._close()
            self._connection = self._connect()
            self._connection.autocommit = True
            return self._ask()
        except BaseException:
            self._close()
            raise
        finally:
            self._lock.release()

    def _close(self) -> None:
        if self._connection is not None:
            with closing(self._connection):
                self._connection = None

    def _ask(self) -> Snapshot:
        if self._last is None or self._version() != self._last.version:
            self._last = self._render()
        return self._last

    def _version(self) -> int:
        """The counter, in one round trip."""
        with self._connection.cursor() as cursor:
            cursor.execute(VERSION)
            return int(cursor.fetchone()[0])

    def _render(self) -> Snapshot:
        cursor: Any  # rows have the names of their columns
        with transaction(self._connection) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute(VERSION)
            version = int(cursor.fetchone().value)
            cursor.execute(ACCESS)
            return render(version, cursor.fetchall())
