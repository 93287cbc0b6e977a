"""What a host sees of its guests, as it happens."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from invirt.base.names import DomainName
from invirt.host.protocols import Hypervisor
from invirt.host.usage import Counted


@dataclass(frozen=True)
class Seen:
    """A domain: running, paused or off, since when (time.time()), and why it is off.

    why: "poweroff" (by itself), "killed" (by hand), "crash", "host" (with it); "" while it is not off.
    machine: the number of its machine, None where the hypervisor doesn't know it.
    """

    name: DomainName
    state: str
    since: float
    why: str = ""
    machine: int | None = None


class Watch(Protocol):
    """Who sees them; one that can't raises an InvirtError."""

    def wait(self, seconds: float) -> None:
        """Until something has happened to a guest, as far as that is told; at most so long."""

    def look(self) -> list[Seen]:
        """All domains, those that are off too, as far as this host knows of them."""

    def counted(self) -> dict[int, Counted]:
        """What each machine's guest has used since it began, as far as that is told."""


class Polled:
    """Asks a hypervisor that tells nothing by itself, every EVERY seconds."""

    EVERY = 2.0

    def __init__(self, hypervisor: Hypervisor) -> None:
        self.hypervisor = hypervisor
        self.last: dict[DomainName, Seen] = {}

    def wait(self, seconds: float) -> None:
        """Nothing is told."""
        time.sleep(self.EVERY)

    def look(self) -> list[Seen]:
        """What was so at the last look is so since then."""
        states = {name: ("off", why) for name, why in self.hypervisor.ended().items()}
        states |= {domain.name: ("running", "") for domain in self.hypervisor.domains()}
        self.last = {name: self._seen(name, *state) for name, state in states.items()}
        return list(self.last.values())

    def counted(self) -> dict[int, Counted]:
        """Nothing yet."""
        return {}

    def _seen(self, name: DomainName, state: str, why: str) -> Seen:
        before = self.last.get(name)
        if before and (before.state, before.why) == (state, why):
            return before
        return Seen(name, state, time.time(), why)
