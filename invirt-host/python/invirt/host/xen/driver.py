"""The hypervisor xen, driven by xl."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from subprocess import CompletedProcess

from invirt.base.abilities import Can
from invirt.base.errors import BadInput, NotFound
from invirt.base.names import DomainName
from invirt.base.process import run
from invirt.host import paths
from invirt.host.domain import OWN_WORDS, DomainConfig, Value
from invirt.host.protocols import OBEY, Domain, Limits
from invirt.host.waiting import wait


class Xen:
    """Domains of xl; run starts its processes."""

    can = frozenset({Can.CDROM})

    def __init__(self, run: Callable[..., CompletedProcess[str]] = run) -> None:
        self.run = run

    def create(self, config: DomainConfig) -> None:
        """xl wants a real file: from a pipe it doesn't read."""
        if not self.running(config.name):
            file = paths.state() / "domains" / config.name
            paths.write(file, rendered(config))
            self.run(["xl", "create", str(file)])

    def domains(self) -> list[Domain]:
        """From the table Name ID Mem VCPUs State Time."""
        rows = [line.split() for line in self.run(["xl", "list"]).stdout.splitlines()[1:]]
        return [Domain(DomainName(row[0]), int(row[2]), int(row[3])) for row in rows]

    def running(self, name: DomainName) -> bool:
        """Looked up in the list: xl's own question for one name fails the same way for any reason."""
        return any(domain.name == name for domain in self.domains())

    def ended(self) -> dict[DomainName, str]:
        """Not known yet: its machines stay off."""
        return {}

    def shutdown(self, name: DomainName) -> None:
        if self.running(name):
            self.run(["xl", "shutdown", "-F", name])

    def reboot(self, name: DomainName) -> None:
        """A domain that has rebooted has another number."""
        if not self.running(name):
            raise NotFound(f"{name} is off", hint="Boot it instead.")
        before = self._number(name)
        self.run(["xl", "reboot", "-F", name])
        if not wait(lambda: self._number(name) not in ("", before), OBEY):
            self.destroy(name)
            self.run(["xl", "create", str(paths.state() / "domains" / name)])

    def _number(self, name: DomainName) -> str:
        return self.run(["xl", "domid", name], check=False).stdout.strip()

    def destroy(self, name: DomainName) -> None:
        if self.running(name):
            self.run(["xl", "destroy", name])

    def eject(self, name: DomainName) -> None:
        """Not known yet: it has none from its next boot on."""
        if self.running(name):
            raise BadInput(
                f"a CD can't be taken out of {name} while it runs on Xen", hint="Switch it off first."
            )

    def plug(self, config: DomainConfig, interface: str) -> None:
        """xl takes the words of xl-network-configuration(5); its script guards and leads the link."""
        said = [f"{key}={value}" for key, value in config.nic(interface).items()]
        self.run(["xl", "network-attach", config.name, *said])

    def unplug(self, name: DomainName, interface: str, mac: str) -> bool:
        self.run(["xl", "network-detach", name, mac])
        return True

    def launch(self, name: DomainName) -> str:
        return self._number(name)

    def limit(self, name: DomainName, limits: Limits) -> None:
        """Not known yet."""

    def said(self, name: DomainName) -> bytes:
        """Not known yet."""
        return b""

    def console(self, name: DomainName) -> None:
        os.execvp("xl", ["xl", "console", name])

    def tidy(self, days: float) -> None:
        """xl leaves nothing that grows."""

    def show(self, verb: str, names: Sequence[DomainName]) -> str:
        """xl's own, which are those of 2008."""
        return self.run(["xl", verb, *names]).stdout

    def status(self) -> dict[str, str]:
        return {"accelerator": "xen"}


def rendered(config: DomainConfig) -> str:
    """The configuration as xl.cfg(5) has it; BadInput for what can't be quoted there."""
    told = {word: value for word, value in config.settings.items() if word not in OWN_WORDS}
    return "".join(f"{word} = {_value(word, value)}\n" for word, value in told.items())


def _value(word: str, value: Value) -> str:
    if isinstance(value, list):
        return f"[ {', '.join(_value(word, item) for item in value)} ]"
    if isinstance(value, int):
        return str(int(value))
    if any(letter in '"\\' or not letter.isprintable() for letter in value):
        raise BadInput(f"{word} holds what xl can't be told: {value!a}")
    return f'"{value}"'
