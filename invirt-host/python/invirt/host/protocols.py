"""What a host asks of its hypervisor; what it asks of a storage is invirt.host.storage.volumes.Storage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from invirt.base.abilities import Can
from invirt.base.names import DomainName
from invirt.host.domain import DomainConfig

PIECE = 1 << 18  # bytes of a guest that go to another host at once, at most
OBEY = 20  # seconds until a guest that was asked to reboot must have gone down


@dataclass(frozen=True)
class Domain:
    """A domain that runs on this host; memory in MiB."""

    name: DomainName
    memory: int
    vcpus: int


@dataclass(frozen=True)
class Limits:
    """cap: percent of a CPU; disk: MiB/s; operations: a second; download, upload: Mbit/s; None: no limit."""

    cap: int | None = None
    weight: int | None = None
    disk: int | None = None
    operations: int | None = None
    download: int | None = None
    upload: int | None = None


class Leaving(Protocol):
    """A guest that runs here, and is to go to another host.

    config: as it runs.  version: what the other host must have, to take it in.
    sparse: what is sent of it has pages of zeros in full.
    """

    config: DomainConfig
    version: dict[str, str]
    sparse: bool

    def share(self) -> None:
        """From now on, until keep(), the other host may open its disks, too."""

    def console(self) -> bytes:
        """What it has said on its console, or since this was asked last."""

    def pieces(self, patience: float) -> Iterator[bytes]:
        """All of it, PIECE bytes at most at once; close() this where it isn't read to its end.

        Raises TimeoutError when nothing more has come for so many seconds.
        """

    def finish(self) -> None:
        """Make sure that all has come, and that it stands still."""

    def keep(self) -> None:
        """Whatever was begun: it goes on here.  NotFound if it has ended."""


class Coming(Protocol):
    """A guest that is on its way in."""

    def console(self, said: bytes) -> None:
        """What it has said elsewhere."""

    def begin(self) -> None:
        """Have something wait for it."""

    def take(self, piece: bytes, patience: float) -> None:
        """Hand a piece on; OSError if nothing waits any more, or takes it for so many seconds."""

    def finish(self) -> None:
        """No more comes: make sure that all of it is here; it stands still."""

    def said(self) -> str:
        """Why it could not be taken in."""

    def drop(self) -> None:
        """It doesn't come: nothing of it stays."""


class Mover(Protocol):
    """What a hypervisor that can move guests (Can.MOVE) has for it; see invirt.host.moving."""

    def leaving(self, name: DomainName) -> Leaving:
        """A guest that runs here; BadInput for one that can't move."""

    def coming(self, config: DomainConfig, version: dict[str, Any]) -> Coming:
        """Make ready for a guest; BadInput if this host can't take it in."""

    def arrive(self, name: DomainName) -> None:
        """Let a guest run that stands still here, and bring its addresses.

        One that runs, runs on; one that has ended is off.
        """

    def own(self, name: DomainName) -> None:
        """Its disks are this host's alone, now that the other one has let them go."""

    def forget(self, name: DomainName) -> None:
        """End what stands still here of a guest that is elsewhere, and clear it away."""


class Hypervisor(Protocol):
    """Domains by name.  Every call is safe to repeat: done already is done.

    can: what not every hypervisor can, and this one does.
    """

    can: frozenset[Can]

    def create(self, config: DomainConfig) -> None:
        """Boot the domain; one that runs already is left alone."""

    def domains(self) -> list[Domain]:
        """All domains that run here, those of others too."""

    def births(self) -> dict[DomainName, str]:
        """Of each of them, what tells this launch from others; it changes, too, when limit() is due again."""

    def running(self, name: DomainName) -> bool:
        """Whether the domain runs on this host."""

    def ended(self) -> dict[DomainName, str]:
        """Why each domain that is off here is: "poweroff", by itself or by hand, or else "crash"."""

    def shutdown(self, name: DomainName) -> None:
        """Ask the guest to power off, and don't wait for it."""

    def reboot(self, name: DomainName) -> None:
        """Ask the guest to reboot; reset it when it doesn't obey.  NotFound when it is off."""

    def destroy(self, name: DomainName) -> None:
        """End the domain at once; it is off when this returns."""

    def eject(self, name: DomainName) -> None:
        """Take the CD out of the running domain's first drive; that of one that is off is none of ours."""

    def pause(self, name: DomainName) -> None:
        """Let the running domain stand still; NotFound when it is off."""

    def unpause(self, name: DomainName) -> None:
        """Let a domain that stands still go on; NotFound when it is off."""

    def plug(self, config: DomainConfig, interface: str) -> None:
        """Give the running domain a network card that its configuration has; CommandFailed if it can't."""

    def unplug(self, name: DomainName, interface: str, mac: str) -> bool:
        """Ask the running domain to let go a network card, and say whether it has; it may never do so."""

    def limit(self, name: DomainName, limits: Limits) -> None:
        """Hold the running domain's CPUs and disks to so much (Can.CAP).  NotFound if it is off."""

    def said(self, name: DomainName) -> bytes:
        """The end of what the guest has said on its serial console since it was booted, 64 KiB at most."""

    def console(self, name: DomainName) -> None:
        """Join this terminal to the guest's serial console.  NotFound when it is off."""

    def tidy(self, days: float) -> None:
        """Cut what grows, and clear away what domains left that were off for days."""

    def show(self, verb: str, names: Sequence[DomainName]) -> str:
        """xm's list, vcpu-list, uptime (of all domains, or of names), or info.  NotFound for what is off.

        Of Xen's own beside them BadInput where there is no Xen.
        """

    def status(self) -> dict[str, str]:
        """What `host status` says of the driver beyond its name."""
