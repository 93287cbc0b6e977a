"""What the lab's tests do and see: users' calls, and the whole state of the place."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

from invirt_lab import cluster
from invirt_lab.site import HOSTS, SERVERS, SHARED

REMOTE = SERVERS["remote"].fqdn
Done = subprocess.CompletedProcess[str]
Value = TypeVar("Value")

# All rows that a command could leave behind, in one text.
_ROWS = """
SELECT 'machine', name, memory, cpus, host_id, description, owner_id FROM machines;
SELECT 'disk', machine_id, name, size FROM disks;
SELECT 'nic', machine_id, mac_addr, ip FROM nics;
SELECT 'access', machine_id, principal FROM machine_access;
SELECT 'open', operation_id, kind, state FROM operations WHERE state IN ('running', 'undoing', 'stuck');
"""


class Lab:
    """A lab that is up."""

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

    def sql(self, text: str) -> str:
        """What the database's owner gets for text."""
        psql = ["psql", "--no-psqlrc", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "invirt", "-d", "invirt"]
        return self.on("db", *psql, input=text).stdout

    def admin(self, *words: str) -> str:
        """An invirt-admin call that has to succeed."""
        return self.on("db", "invirt-admin", *words).stdout

    def domains(self) -> dict[str, list[str]]:
        """The names of the machines that run, by host."""
        found = {}
        for name in HOSTS:
            words = self.on(name, "xm", "list").stdout.split()
            found[name] = sorted(word[2:] for word in words if word.startswith("d_"))
        return found

    def volumes(self) -> list[str]:
        """The files of the shared storage, but for the trash."""
        found = self.on(
            "host1", "find", f"{SHARED}/volumes", "-type", "f", "-printf", "%P %s\\n", check=False
        )
        return sorted(line for line in found.stdout.splitlines() if "trash" not in line)

    def world(self) -> tuple[str, list[str], dict[str, list[str]]]:
        """Everything that a refused command must not have changed."""
        return self.sql(_ROWS), self.volumes(), self.domains()


def eventually(check: Callable[[], Value], what: str, timeout: float = 30) -> Value:
    """The first true value of check, asked again and again; fails after timeout seconds."""
    deadline = time.monotonic() + timeout
    while not (value := check()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.2)
    return value
