"""Several processes that go on with what was left, so that one which takes long holds up no other.

Processes and not threads: the remctl module holds Python's lock while it waits for a host.
"""

from __future__ import annotations

import os
from contextlib import closing

from invirt.base import log
from invirt.base.errors import InvirtError
from invirt.database.connection import Connection, connect, transaction
from invirt.remote.hosts import Hosts
from invirt.remote.operations import recovery, store
from invirt.remote.operations.model import Say

MOST = 8  # operations of one server that are gone on with at once


class Crew:
    """Takes up what nobody works on, at most `most` at once.  say: is told what comes of each."""

    def __init__(self, hosts: Hosts, say: Say, most: int = MOST) -> None:
        self.hosts, self.say, self.most = hosts, say, most
        self.workers: dict[int, tuple[int, int]] = {}  # by process: its operation, and the pipe of its words

    def turn(self, connection: Connection) -> None:
        """Hear who has come to an end, and let others begin; waits for nobody but silent hosts."""
        self._hear()
        busy = {number for number, _ in self.workers.values()}
        with transaction(connection) as cursor:
            found = [left for left in store.left_over(cursor) if left.number not in busy]
            found = found[: self.most - len(busy)]
            operations = store.select(cursor, "operation_id = ANY(%s)", ([left.number for left in found],))
        silent = recovery.silent(self.hosts, operations) if found else set()
        for left in found:
            self._begin(left, silent)

    def _begin(self, left: store.LeftOver, silent: set[str]) -> None:
        """A process of its own, with its own connection: it leaves ours alone, even at its end."""
        read, write = os.pipe()
        child = os.fork()
        if child:
            os.close(write)
            self.workers[child] = (left.number, read)
            return
        try:
            os.close(read)
            with os.fdopen(write, "w") as words, closing(connect()) as own:
                hosts = recovery.Impatient(self.hosts, silent)
                recovery.take_up(own, hosts, left, lambda said: print(said, file=words, flush=True))
        except InvirtError as error:
            log.write(f"operation {left.number}: {error.message}", log.WARNING, program="invirt-operations")
        except Exception as error:
            log.bug(error, program="invirt-operations")
        finally:
            os._exit(0)

    def _hear(self) -> None:
        """Those who have ended are told of."""
        for child, (_, pipe) in list(self.workers.items()):
            if os.waitpid(child, os.WNOHANG)[0]:
                del self.workers[child]
                with os.fdopen(pipe, errors="replace") as words:
                    for line in words:
                        self.say(line.rstrip("\n"))
