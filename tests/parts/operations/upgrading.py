"""Hosts that are upgraded: what `upgrade` says to them, beside all that FakeHosts do."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from invirt.base.errors import Busy, Unreachable
from invirt.remote.lines import Answer
from tests.parts.operations.fakehosts import FakeHosts


@dataclass
class Packages:
    """Of one host: how many are to be upgraded, whether they fail, what the check finds, and its boots."""

    left: int = 3
    broken: bool = False
    wrong: list[str] | None = field(default_factory=list)
    kernel: bool = False  # among them
    reboot: str = ""
    boots: int = 1
    silent: int = 0  # questions for which it is away
    never_back: bool = False
    begun: list[str] = field(default_factory=list)

    @property
    def boot(self) -> str:
        """As the kernel says it."""
        return str(UUID(int=self.boots))


class Upgrading:
    """A Hosts; before: told of each word of `upgrade`, and raises what shall go wrong."""

    def __init__(self, hosts: FakeHosts) -> None:
        self.hosts = hosts
        self.packages = {name: Packages() for name in hosts.hosts}
        self.order: list[tuple[str, str]] = []
        self.before: Callable[[], None] = lambda: None

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        """See Hosts."""
        own = self.packages[hostname]
        self.before()
        if own.silent or own.never_back and own.boots > 1:
            own.silent -= 1
            raise Unreachable(f"{hostname} doesn't answer")
        if words[0] != "upgrade":
            return self.hosts.call(hostname, *words, timeout=timeout)
        answer = getattr(self, f"_{words[1]}")(hostname, own, *words[2:])
        self.before()
        return json.dumps(answer)

    def ask(self, hostnames: Sequence[str], *words: str, timeout: float) -> dict[str, Answer]:
        """See Hosts."""
        return self.hosts.ask(hostnames, *words, timeout=timeout)

    def _begin(self, hostname: str, own: Packages, what: str) -> None:
        self.order.append((hostname.partition(".")[0], what))
        own.begun.append(what)
        if what == "install":
            assert not self.hosts.hosts[hostname].running, "it is upgraded under its guests"
            if not own.broken:
                own.left, own.reboot = 0, "a kernel was installed" if own.kernel else ""

    def _status(self, hostname: str, own: Packages, what: str) -> object:
        assert what in own.begun
        failed = what == "install" and own.broken
        said = [
            "Setting up broken",
            "dpkg: error processing package broken (--configure):",
            "E: Sub-process /usr/bin/dpkg returned an error code (1)",
        ]
        found = {"fetch": own.left, "check": own.wrong}.get(what)
        return {"state": "ended", "status": 100 * failed, "said": said if failed else [], "found": found}

    def _boot(self, hostname: str, own: Packages) -> object:
        return {"boot": own.boot, "reboot": own.reboot}

    def _reboot(self, hostname: str, own: Packages, which: str) -> None:
        if which != own.boot:
            return
        if self.hosts.hosts[hostname].running:
            raise Busy("a guest runs here")
        self.order.append((hostname.partition(".")[0], "reboot"))
        own.boots, own.reboot, own.silent, own.kernel, own.begun = own.boots + 1, "", 3, False, []
