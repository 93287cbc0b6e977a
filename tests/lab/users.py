"""What the lab's tests do and see: users' calls, and the whole state of the place."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from invirt_lab import cluster
from invirt_lab.site import HOSTS, SERVERS, SHARED

REMOTE = SERVERS["remote"].fqdn
Done = subprocess.CompletedProcess[str]
Value = TypeVar("Value")

# A host's taps and units of guests: each line ends in its domain, but for what belongs to none.
_BELONGINGS = "ip -oneline link show type tun; systemctl list-units --plain --no-legend 'invirt-guest@*'"

# All rows that a command could leave behind, in one text.
_ROWS = """
SELECT 'machine', name, memory, cpus, host_id, description, owner_id FROM machines;
SELECT 'disk', machine_id, name, size FROM disks;
SELECT 'nic', machine_id, mac_addr, ip FROM nics;
SELECT 'access', machine_id, principal FROM machine_access;
SELECT 'open', operation_id, kind, state FROM operations WHERE state IN ('running', 'undoing', 'stuck');
"""
NOT_FOUND = 3


class Lab:
    """A lab that is up.  database: the server that has it."""

    database = "db"

    def try_remctl(self, user: str, *words: str, timeout: float = 180) -> Done:
        """A remctl call from the client, whatever comes of it."""
        return cluster.as_user(user, "remctl", REMOTE, *words, timeout=timeout, check=False)

    def remctl(self, user: str, *words: str, timeout: float = 180) -> str:
        """A remctl call that has to succeed; returns what it printed."""
        done = self.try_remctl(user, *words, timeout=timeout)
        assert done.returncode == 0, f"{words}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def on(self, server: str, *argv: str, input: str | None = None, check: bool = True) -> Done:
        """A command on a server, as its root."""
        return cluster.on(server, *argv, input=input, check=check)

    def on_hosts(self, *argv: str) -> dict[str, str]:
        """What a command says on each host, on all at once; those that are machines of their own, too."""
        hosts = [*HOSTS, *cluster.elsewhere]
        with ThreadPoolExecutor() as pool:
            done = pool.map(lambda host: self.on(host, *argv), hosts)
            return {host: one.stdout for host, one in zip(hosts, done, strict=True)}

    def sql(self, text: str) -> str:
        """What the database's owner gets for text."""
        psql = ["psql", "--no-psqlrc", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "invirt", "-d", "invirt"]
        return self.on(self.database, *psql, input=text).stdout

    def admin(self, *words: str) -> str:
        """An invirt-admin call that has to succeed."""
        return self.on(self.database, "invirt-admin", *words).stdout

    def domains(self) -> dict[str, list[str]]:
        """The names of the machines that run, by host."""
        said = self.on_hosts("xm", "list")
        return {
            host: sorted(word[2:] for word in text.split() if word.startswith("d_"))
            for host, text in said.items()
        }

    def settled(self) -> dict[str, list[str]]:
        """The same, once no other has a tap or a unit, and each of them does; fails where that isn't soon."""

        def owners(text: str) -> list[str]:
            return sorted({line.split()[-1].removeprefix("d_") for line in text.splitlines()})

        def agreed() -> dict[str, list[str]] | None:
            said = self.on_hosts("sh", "-c", _BELONGINGS)
            running, owning = self.domains(), {host: owners(text) for host, text in said.items()}
            print(f"there run {running}; taps and units are of {owning}")
            return running if running == owning else None

        return eventually(agreed, "taps and units to be those of guests that run")

    def machines(self) -> dict[str, str]:
        """The owner of each machine, by its name."""
        rows = self.sql("SELECT m.name, o.name FROM machines m JOIN owners o USING (owner_id)")
        return dict(row.split("|", 1) for row in rows.split())

    def remove(self, name: str, owner: str) -> None:
        """End a machine wherever it runs, and delete it, once nobody works on it any more."""

        def gone() -> bool:
            for host, names in self.domains().items():
                if name in names:
                    self.on(host, "xm", "destroy", f"d_{name}")
            done = self.try_remctl(owner, "machine", "delete", name, "--yes")
            self.try_remctl(owner, "machine", "purge", name, "--yes")  # which the quota counts
            return done.returncode in (0, NOT_FOUND)

        eventually(gone, f"{name} to be removed", 120)

    def volumes(self) -> list[str]:
        """The files of the shared storage, but for the trash."""
        found = self.on(
            "host1", "find", f"{SHARED}/volumes", "-type", "f", "-printf", "%P %s\\n", check=False
        )
        return sorted(line for line in found.stdout.splitlines() if "trash" not in line)

    def world(self) -> tuple[list[str], list[str], dict[str, list[str]]]:
        """Everything that a refused command must not have changed."""
        return sorted(self.sql(_ROWS).splitlines()), self.volumes(), self.settled()


def eventually(check: Callable[[], Value | None], what: str, timeout: float = 60) -> Value:
    """The first true value of check, asked again and again; fails after timeout seconds."""
    deadline = time.monotonic() + timeout
    while not (value := check()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.2)
    return value
