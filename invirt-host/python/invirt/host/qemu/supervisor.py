"""Who keeps a QEMU guest's process: systemd on a host, nobody where it doesn't run."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Protocol

from invirt.base.process import run
from invirt.host.protocols import Limits
from invirt.host.qemu import qmp
from invirt.host.qemu.guest import OVERHEAD, Guest
from invirt.host.waiting import wait

END = 10.0  # seconds until one that is killed must be gone
LAUNCH = "from invirt.base.cli import start; from invirt.host.commands.guest import COMMAND; start(COMMAND)"


class Supervisor(Protocol):
    """Starts and ends `invirt-guest run NAME`, which becomes QEMU."""

    def start(self, guest: Guest) -> None:
        """Start it, and don't wait for what becomes of it."""

    def stop(self, guest: Guest) -> None:
        """Kill it, if it lives, and don't wait for what is done after its end."""

    def limit(self, guest: Guest, limits: Limits) -> None:
        """Hold its CPUs to so much, if anybody here can."""

    def said(self, guest: Guest) -> str:
        """The last lines of its last launch; never those of another machine that had its name before."""


class Systemd:
    """A unit invirt-guest@NAME.service for each guest, capped by the guest's size."""

    def start(self, guest: Guest) -> None:
        """Caps: the guest's CPUs and a fifth of one for QEMU, its memory and QEMU's own."""
        config, unit = guest.config(), self._unit(guest)
        cpus, memory = _cpus(guest), config.memory + OVERHEAD
        run(["systemctl", "set-property", "--runtime", unit, f"CPUQuota={cpus}%", f"MemoryMax={memory}M"])
        run(["systemctl", "start", unit])

    def stop(self, guest: Guest) -> None:
        """Killed first: to stop it is to ask the guest.  Then a start that is yet to come is off."""
        run(["systemctl", "kill", "--signal=KILL", self._unit(guest)], check=False)
        wait(lambda: not guest.running(), END)
        run(["systemctl", "stop", "--no-block", self._unit(guest)])

    def limit(self, guest: Guest, limits: Limits) -> None:
        """While it runs; never more than it was started with."""
        cap = min(limits.cap or _cpus(guest), _cpus(guest))
        shares = [f"CPUQuota={cap}%", f"CPUWeight={min(limits.weight or 100, 10000)}"]
        run(["systemctl", "set-property", "--runtime", self._unit(guest), *shares])

    def said(self, guest: Guest) -> str:
        """The launch's last lines in the journal."""
        launch, _, _ = guest.launched().partition(" ")
        wanted = f"_SYSTEMD_INVOCATION_ID={launch}"
        return run(["journalctl", wanted, "-n", "5", "-o", "cat"], check=False).stdout

    def _unit(self, guest: Guest) -> str:
        return f"invirt-guest@{guest.name}.service"


class Alone:
    """A process that lives on by itself, with an accelerator of its own or the host's."""

    def __init__(self, accelerator: str = "") -> None:
        self.options = ["--accelerator", accelerator] if accelerator else []

    def start(self, guest: Guest) -> None:
        """It leaves our pipes for its log as soon as it runs."""
        launch = [sys.executable, "-c", LAUNCH, "run", "--log", str(guest.said), *self.options]
        run(["setsid", "--fork", *launch, guest.name])

    def stop(self, guest: Guest) -> None:
        """The process is the one that listens at the control socket."""
        pid = qmp.pid(guest.qmp)
        if pid:
            os.kill(pid, signal.SIGKILL)

    def limit(self, guest: Guest, limits: Limits) -> None:
        """Nobody here shares out CPUs."""

    def said(self, guest: Guest) -> str:
        """The end of its log."""
        return "\n".join(guest.said.read_text().splitlines()[-5:]) if guest.said.exists() else ""


def _cpus(guest: Guest) -> int:
    """Percent of a CPU: the guest's own, and a fifth of one for QEMU."""
    return guest.config().vcpus * 100 + 20


def of_this_host() -> Supervisor:
    """systemd, if it is the one that started this host."""
    return Systemd() if Path("/run/systemd/system").exists() else Alone()
