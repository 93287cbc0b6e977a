"""What a host writes down of a domain, in $INVIRT_STATE/guests/NAME.

Names come again, with other owners: what an earlier machine of the name left
goes before another one boots, see invirt.host.leftovers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from invirt.base.names import DomainName
from invirt.host import paths
from invirt.host.domain import DomainConfig

POWEROFF, KILLED, HOST = "poweroff", "killed", "host"  # how they end: by themselves, by hand, with their host


@dataclass(frozen=True)
class Record:
    """The places that belong to the domain called name."""

    name: DomainName

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The domain whose folder that is."""
        return cls(DomainName(folder.name))

    @classmethod
    def all(cls) -> list[Self]:
        """Those that something is written down of."""
        return [cls.of(folder) for folder in sorted((paths.state() / "guests").glob("[!.]*"))]

    @property
    def folder(self) -> Path:
        """What must live through a reboot."""
        return paths.state() / "guests" / self.name

    @property
    def config_file(self) -> Path:
        """The domain's configuration, as it was last booted."""
        return self.folder / "config"

    @property
    def ended(self) -> Path:
        """Why it is off, if not by a crash; see Hypervisor.ended()."""
        return self.folder / "ended"

    def config(self) -> DomainConfig:
        """Read what create() wrote."""
        return DomainConfig.from_json(self.config_file.read_text())

    def machine(self) -> int | None:
        """The number of its machine; None if that was never written down, or can't be read any more."""
        try:
            return self.config().machine
        except (OSError, ValueError):
            return None

    def on_reboot(self) -> str:
        """What is to become of it then; empty if that can't be read."""
        try:
            return self.config().text("on_reboot")
        except (OSError, ValueError):
            return ""

    def end_by(self, how: str) -> None:
        """Write down how a domain that has been booted ends, unless that is known."""
        if self.config_file.exists() and not self.ended.exists():
            paths.write(self.ended, how)
