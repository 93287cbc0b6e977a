"""The hypervisor qemu: a process a guest, kept by systemd, driven by QMP.

A guest that ended is off until remote says otherwise: nothing restarts it,
not a crash and not the host's boot, since it may run elsewhere by then.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from invirt.base.abilities import Can
from invirt.base.errors import Busy, CommandFailed, NotFound, Unreachable
from invirt.base.names import DomainName, machine_of
from invirt.host import leftovers, paths, tokens
from invirt.host.domain import DomainConfig
from invirt.host.moving import papers
from invirt.host.network import vif
from invirt.host.protocols import OBEY, Domain, Limits
from invirt.host.qemu import (
    able,
    accelerator,
    cards,
    screen,
    tables,
    terminal,
    throttling,
    version,
)
from invirt.host.qemu.guest import Guest, drive
from invirt.host.qemu.qmp import Qmp
from invirt.host.qemu.supervisor import END, Supervisor, of_this_host
from invirt.host.records import KILLED, POWEROFF
from invirt.host.waiting import wait

START = 20  # seconds until QEMU must answer
SAID = 1 << 16  # bytes of a guest's console


class Qemu:
    """Guests that supervisor keeps; one that is asked to reboot has obey seconds to go down."""

    can = frozenset({Can.CDROM, Can.SCREEN, Can.MOVE, Can.INSTALL, Can.RESCUE, Can.CAP})

    def __init__(self, supervisor: Supervisor, obey: float = OBEY) -> None:
        self.supervisor = supervisor
        self.obey = obey

    @staticmethod
    def of_this_host() -> Qemu:
        """The driver with the supervisor that this host has."""
        return Qemu(of_this_host())

    def create(self, config: DomainConfig) -> None:
        guest = Guest(config.name)
        if guest.running():
            return
        able.check(config)
        able.find()
        leftovers.clear(guest, config.machine)
        if machine := machine_of(config.name):
            papers.forget(machine)
        guest.told.unlink(missing_ok=True)
        if config.install:
            paths.write(guest.told, "".join(f"{line}\n" for line in config.install))
        self.start(config.without("install"))

    def start(self, config: DomainConfig, coming: str = "") -> None:
        """Have a QEMU for the guest, which is off; coming: the model of one that is on its way in."""
        guest = Guest(config.name)
        paths.write(guest.config_file, config.json())
        guest.coming.unlink(missing_ok=True)
        if coming:
            paths.write(guest.coming, coming)
        paths.write(guest.model, coming or version.newest_model())
        guest.ended.unlink(missing_ok=True)
        before = guest.launched()
        self.supervisor.start(guest)
        if not self._started(guest, before):
            self.supervisor.stop(guest)
            launched = guest.launched() != before
            hint = self.supervisor.said(guest) if launched else "Look at its unit on this host."
            raise CommandFailed(f"{guest.name} did not start", hint=hint)

    def _started(self, guest: Guest, before: str) -> bool:
        """Wait until QEMU answers, or until the launch has failed or takes too long."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            try:
                with Qmp(guest.qmp) as qmp:
                    qmp.status()
                return True
            except (NotFound, Unreachable):
                if guest.launched() != before and not guest.running():
                    return False
                time.sleep(0.02)
        return False

    def domains(self) -> list[Domain]:
        return [_domain(guest) for guest in _running()]

    def births(self) -> dict[DomainName, str]:
        return {guest.name: guest.launched() for guest in _running()}

    def running(self, name: DomainName) -> bool:
        return Guest(name).running()

    def ended(self) -> dict[DomainName, str]:
        off = [guest for guest in Guest.all() if not guest.running()]
        return {
            guest.name: "poweroff" if _read(guest.ended) in (POWEROFF, KILLED) else "crash" for guest in off
        }

    def shutdown(self, name: DomainName) -> None:
        """One that a killed reboot left down is ended."""
        guest = Guest(name)
        if not guest.running():
            return
        with Qmp(guest.qmp) as qmp:
            qmp("set-action", shutdown="poweroff")
            down = qmp.status() == "shutdown"
            qmp("quit" if down else "system_powerdown")

    def reboot(self, name: DomainName) -> None:
        """The guest goes down into a pause and is reset from there: QEMU, console and tap live on."""
        guest = Guest(name)
        if not guest.running():
            raise NotFound(f"{name} is off", hint="Boot it instead.")
        with Qmp(guest.qmp) as qmp:
            qmp("set-action", shutdown="pause")
            qmp("system_powerdown")
            wait(lambda: qmp.status() == "shutdown", self.obey)
            qmp("system_reset")
            qmp("set-action", shutdown="poweroff")
            qmp("cont")

    def destroy(self, name: DomainName) -> None:
        guest = Guest(name)
        guest.end_by(KILLED)
        self.supervisor.stop(guest)
        if not wait(lambda: not guest.running(), END):
            raise CommandFailed(f"{name} can't be killed", hint="Look at its process on this host.")
        clean_up(guest)

    def limit(self, name: DomainName, limits: Limits) -> None:
        self.supervisor.limit(Guest(name), limits)
        throttling.throttle(Guest(name), limits)

    def eject(self, name: DomainName) -> None:
        """The drive that is left has nothing in it, whatever the guest holds open."""
        guest = Guest(name)
        if guest.running():
            drives = [
                disk["vdev"] for disk in guest.config().devices("disk") if disk.get("devtype") == "cdrom"
            ]
            with Qmp(guest.qmp) as qmp:
                for vdev in drives[:1]:
                    qmp("eject", id=drive(vdev), force=True)

    def pause(self, name: DomainName) -> None:
        self._turn(name, "running", "stop")

    def unpause(self, name: DomainName) -> None:
        self._turn(name, "paused", "cont")

    def _turn(self, name: DomainName, state: str, command: str) -> None:
        """Say command to QEMU if its guest is in that state."""
        guest = Guest(name)
        if not guest.running():
            raise NotFound(f"{name} is off")
        if guest.coming.exists():
            raise Busy(f"{name} is on its way from another host, where it may run yet")
        with Qmp(guest.qmp) as qmp:
            if qmp.status() == state:
                qmp(command)

    def plug(self, config: DomainConfig, interface: str) -> None:
        cards.plug(Guest(config.name), config, interface)

    def unplug(self, name: DomainName, interface: str, mac: str) -> bool:
        return cards.unplug(Guest(name), interface)

    def said(self, name: DomainName) -> bytes:
        return paths.tail(Guest(name).log, SAID)

    def console(self, name: DomainName) -> None:
        terminal.attach(Guest(name))

    def tidy(self, days: float) -> None:
        """What is left of guests that were off for so long goes."""
        for folder in (paths.state() / "guests").glob("*"):
            guest = Guest.of(folder)
            with tokens.locked(machine_of(guest.name) or guest.name):
                age = time.time() - folder.stat().st_mtime
                if age > days * 86400 and not guest.running():
                    shutil.rmtree(folder)

    def show(self, verb: str, names: Sequence[DomainName]) -> str:
        return tables.show(verb, names, self.domains())

    def status(self) -> dict[str, str]:
        name, reason = accelerator.chosen()
        return {"accelerator": name, "reason": reason}


def _running() -> list[Guest]:
    folder = paths.run() / "guests"
    guests = [Guest.of(path) for path in sorted(folder.iterdir())] if folder.is_dir() else []
    return [guest for guest in guests if guest.running()]


def _domain(guest: Guest) -> Domain:
    """One whose configuration somebody took away runs all the same."""
    try:
        config = guest.config()
    except FileNotFoundError:
        return Domain(guest.name, 0, 0)
    return Domain(guest.name, config.memory, config.vcpus)


def clean_up(guest: Guest) -> None:
    """Take away what an ended guest left; its unit does the same, perhaps at this moment."""
    vif.remove_all(guest.name)
    guest.console.unlink(missing_ok=True)  # who waits for its console looks for this
    with suppress(FileNotFoundError):
        screen.clear(guest.config().machine or 0)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
