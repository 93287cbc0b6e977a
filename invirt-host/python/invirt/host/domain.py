"""A domain's configuration, in the words of xl.cfg(5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from invirt.base.errors import BadInput, NotFound
from invirt.base.names import DomainName
from invirt.host import devices, words
from invirt.host.words import OWN_WORDS, WORDS, Value

__all__ = ["OWN_WORDS", "WORDS", "DomainConfig", "Value", "domain_name"]
TYPES = {"generic": "pv", "linux": "pv", "hvm": "hvm"}  # by 2008's word for them, builder


def _nowhere(word: str) -> str | None:
    """Of words that nobody has written into a file."""
    return None


@dataclass(frozen=True)
class DomainConfig:
    """What `xm create` hands to the host's hypervisor; place: tells where a word was said, if it was."""

    settings: Mapping[str, Value]
    place: Callable[[str], str | None] = field(default=_nowhere, compare=False)

    @property
    def name(self) -> DomainName:
        """The domain's, which is not its machine's."""
        return DomainName(self.text("name"))

    @property
    def machine(self) -> int | None:
        """The number of its machine, which no other ever has; None for a domain that is no machine's."""
        return self.number("machine") or None

    @property
    def memory(self) -> int:
        """MiB."""
        return self.number("memory")

    @property
    def vcpus(self) -> int:
        """How many CPUs the guest sees."""
        return self.number("vcpus", 1)

    @property
    def virt(self) -> str:
        """pv, pvh or hvm; a text that is empty where nothing is said."""
        return self.text("type") or TYPES.get(self.text("builder"), "")

    @property
    def command_line(self) -> str:
        """The kernel's, as xm made it: root= comes first."""
        root = self.text("root")
        said = (f"root={root}" if root else "", self.text("extra"))
        return self.text("cmdline") or " ".join(filter(None, said))

    def refusal(self, word: str, wrong: str, hint: str = "") -> BadInput:
        """The error for a word that can't be had, with its place."""
        return BadInput(f"{self.place(word) or f'domain {self.name}'}: {word} {wrong}", hint)

    def text(self, word: str, default: str = "") -> str:
        """The string that word stands for."""
        return str(self.settings.get(word, default))

    def number(self, word: str, default: int = 0) -> int:
        """The integer that word stands for."""
        value = self.settings.get(word, default)
        if isinstance(value, list):
            raise BadInput(f"{word} of domain {self.name} must be a number, not a list")
        return int(value)

    def devices(self, word: str) -> list[dict[str, str]]:
        """What is said of each disk ("disk") or network card ("vif"), by key."""
        value = self.settings.get(word, [])
        items = value if isinstance(value, list) else [value]
        parse = devices.disk if word == "disk" else devices.nic
        try:
            return [parse(str(item)) for item in items]
        except ValueError as error:
            raise self.refusal(word, f": {error}") from error

    def nic(self, vifname: str) -> dict[str, str]:
        """What is said of the network card of that interface; NotFound if it has none."""
        for nic in self.devices("vif"):
            if nic.get("vifname") == vifname:
                return nic
        raise NotFound(f"the configuration of {self.name} has no vifname={vifname}")

    def other_addresses(self, vifname: str) -> list[str]:
        """The addresses of the network cards beside the one of that interface."""
        others = (nic for nic in self.devices("vif") if nic.get("vifname") != vifname)
        return [address for nic in others for address in nic.get("ip", "").split()]

    @property
    def install(self) -> list[str]:
        """What an installer is told, a line each: for its guest alone, so it is written nowhere else."""
        lines = self.settings.get("install", [])
        return [str(line) for line in lines] if isinstance(lines, list) else []

    def without(self, word: str) -> DomainConfig:
        """The same, but for what is said of that word."""
        kept = {name: value for name, value in self.settings.items() if name != word}
        return DomainConfig(kept, self.place)

    def json(self) -> str:
        """For a file that from_json() reads back."""
        return json.dumps(dict(self.settings), indent=1) + "\n"

    @staticmethod
    def from_json(text: str) -> DomainConfig:
        """Read what json() wrote."""
        return DomainConfig(json.loads(text))


def domain_name(text: str) -> DomainName:
    """The name of a domain, as an argument."""
    try:
        return words.domain_name(text)
    except ValueError as error:
        raise BadInput(f"a domain's name {error}") from error
