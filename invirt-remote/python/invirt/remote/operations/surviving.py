"""What becomes of steps on a host that was lost: nothing runs there, and others have its pools."""

from __future__ import annotations

from collections.abc import Sequence

from invirt.base.errors import CommandFailed, Unreachable
from invirt.database.connection import Connection, transaction
from invirt.remote.hosts import Hosts
from invirt.remote.lines import Answer

LOST = "SELECT FROM hosts WHERE hostname = %s AND lost_at IS NOT NULL"
SEEING = """
SELECT h.hostname::text FROM hosts h JOIN pool_sight USING (host_id) JOIN pools p USING (pool_id)
WHERE h.lost_at IS NULL AND p.pool_id = coalesce((SELECT pool_id FROM pools WHERE name = %s),
    (SELECT min(pool_id) FROM pools)) ORDER BY h.host_id
"""


class Lost(CommandFailed):
    """The host of this command was lost, with all its guests."""


class Surviving:
    """Hosts: for one that is silent and lost, another that sees the pool does what is to be done to volumes.

    What is asked of guests there raises Lost.  One that answers is asked as ever, lost or not.
    """

    def __init__(self, connection: Connection, hosts: Hosts) -> None:
        self.connection, self.hosts = connection, hosts

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        """See Hosts."""
        try:
            return self.hosts.call(hostname, *words, timeout=timeout)
        except Unreachable as silent:
            with transaction(self.connection) as cursor:
                cursor.execute(LOST, (hostname,))
                if cursor.fetchone() is None:
                    raise
                cursor.execute(SEEING, (_pool(words),))
                others = [row.hostname for row in cursor.fetchall()]
            if words[0] != "volume":
                raise Lost(f"{hostname} was lost") from silent
            return self._elsewhere(others, words, timeout, silent)

    def _elsewhere(
        self, others: Sequence[str], words: Sequence[str], timeout: float, silent: Unreachable
    ) -> str:
        """The first that answers does it; a pool that only the lost one sees waits for it."""
        for other in others:
            try:
                return self.hosts.call(other, *words, timeout=timeout)
            except Unreachable as error:
                silent = error
        raise silent

    def ask(self, hostnames: Sequence[str], *words: str, timeout: float) -> dict[str, Answer]:
        """See Hosts."""
        return self.hosts.ask(hostnames, *words, timeout=timeout)


def _pool(words: Sequence[str]) -> str | None:
    """The pool that a command on a volume names; None for the first."""
    return words[words.index("--pool") + 1] if "--pool" in words else None
