"""The server that is looked at: its name, its roles, and what the database says to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from invirt import config
from invirt.base import identity
from invirt.base.errors import InvirtError
from invirt.check import asking
from invirt.database import servers

ROLES = ("database", "remote", "host", "console", "web", "dns", "dhcp")
REGISTERED = "usr/share/invirt/templates.d"  # each role has a file here


def roles(root: Path) -> tuple[str, ...]:
    """Those that are installed."""
    return tuple(role for role in ROLES if (root / REGISTERED / f"{role}.yaml").exists())


@dataclass
class Server:
    """This server.

    root: where its files are.  name: its full name, as which it signs on.  now: its
    clock, in seconds since 1970.
    """

    root: Path = Path("/")
    roles: tuple[str, ...] = ()
    name: str = field(default_factory=identity.hostname)
    now: Callable[[], float] = time.time
    _asking: threading.Lock = field(default_factory=threading.Lock)
    _said: Mapping[str, asking.Said | InvirtError] | None = None

    def file(self, path: str) -> Path:
        """The file that has this path on it."""
        return self.root / path.lstrip("/")

    @property
    def database(self) -> Mapping[str, asking.Said | InvirtError]:
        """What the database says to each of the roles; who looks first asks for all."""
        with self._asking:
            if self._said is None:
                self._said = asking.ask(self.roles, self.now)
            return self._said

    @property
    def heard(self) -> Iterable[asking.Said]:
        """What it says, where it says anything."""
        return [said for said in self.database.values() if isinstance(said, asking.Said)]

    @property
    def hosts(self) -> tuple[str, ...]:
        """The full names of the hosts that the database tells this server of."""
        return tuple(sorted({host for said in self.heard for host in said.hosts}))

    def others(self) -> dict[str, set[str]]:
        """The roles of each server that invirt.yaml and the database name, by its full name."""
        found: dict[str, set[str]] = {}
        for one in servers.known(self.hosts):
            found.setdefault(one.hostname, set()).add(one.kind)
        if not config.database.hostname.startswith("/"):
            for name in config.database.all:
                found.setdefault(name, set()).add("database")
        return found

    @property
    def is_named(self) -> set[str]:
        """The roles that invirt.yaml gives a server of this name; hosts are named in the database."""
        return self.others().get(self.name, set())
