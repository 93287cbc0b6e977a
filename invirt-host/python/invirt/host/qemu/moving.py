"""QEMU's live migration, over an open socket that it is given: it may make no connection itself.

The machine's model travels with its version, since a newer QEMU's own may be laid out otherwise.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from invirt import config as site
from invirt.base.errors import BadInput, Busy, CommandFailed, NotFound, Unreachable
from invirt.base.names import DomainName
from invirt.host import paths
from invirt.host.domain import DomainConfig
from invirt.host.network import vif
from invirt.host.protocols import PIECE
from invirt.host.qemu import accelerator
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.qmp import Qmp
from invirt.host.qemu.version import MODEL, traits
from invirt.host.waiting import wait

FD = "moving"
FAST = 1 << 40  # bytes a second: the network says how fast it goes
STILL = 300  # milliseconds that a guest may stand still at the end
SETTLE = 10.0  # seconds until QEMU has come to an end with what it was told
MOST = 1 << 20  # bytes of the console's history that go along


class QemuMover:
    """What invirt.host.moving asks of QEMU's driver."""

    def __init__(self, driver: Qemu) -> None:
        self.driver = driver

    def leaving(self, name: DomainName) -> Leaving:
        """See Mover."""
        return Leaving(Guest(name))

    def coming(self, config: DomainConfig, version: dict[str, Any]) -> Coming:
        """Start a QEMU that waits for the guest."""
        model, kind = version.get("model"), version.get("accelerator")
        if not isinstance(model, str) or not MODEL.fullmatch(model):
            raise BadInput(f"{config.name} is of no model that this host knows")
        if kind != accelerator.chosen()[0]:
            raise BadInput(f"{config.name} runs by another accelerator than the one of this host")
        return Coming(self.driver, config, model)

    def arrive(self, name: DomainName) -> None:
        """Let it run, and lead its addresses here."""
        guest = Guest(name)
        if not guest.running():
            return
        with Qmp(guest.qmp, SETTLE) as qmp:
            if qmp.status() != "running":
                qmp("cont")
        for nic in guest.config().devices("vif"):
            vif.lead(nic["vifname"])
        guest.coming.unlink(missing_ok=True)

    def own(self, name: DomainName) -> None:
        """QEMU's disks are files, which no lock manager knows."""

    def forget(self, name: DomainName) -> None:
        """It is elsewhere: nothing of it stays.  Busy if it runs here all the same."""
        guest = Guest(name)
        with suppress(NotFound), Qmp(guest.qmp) as qmp:
            if qmp.status() == "running":
                raise Busy(f"{name} runs here, though it was handed over")
        self.driver.destroy(name)
        shutil.rmtree(guest.config_file.parent, ignore_errors=True)


class Leaving:
    """A guest that runs here, and is to go."""

    sparse = False  # QEMU says of a page that it is zero

    def __init__(self, guest: Guest) -> None:
        self.guest, self.config, self.sent = guest, guest.config(), 0
        with Qmp(guest.qmp) as qmp:
            model = str(qmp("qom-get", path="/machine", property="type")).removesuffix("-machine")
            kvm = qmp("query-kvm").get("enabled") is True
        self.version = {"model": model, "accelerator": "kvm" if kvm else "tcg"}
        if traits(guest)["cd"]:
            raise BadInput(f"{guest.name} has a CD in its drive", hint="Take it out first.")

    def share(self) -> None:
        """QEMU locks its disks itself, and hands them over."""

    def console(self) -> bytes:
        """What the guest has said on its console, or since this was asked last."""
        with self.guest.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self.sent, size - MOST))
            self.sent = size
            return log.read(MOST)

    def pieces(self, patience: float) -> Iterator[bytes]:
        """See protocols.Leaving; a guest that changes its memory too fast is slowed more and more."""
        ours, its = socket.socketpair()
        with ours:
            ours.settimeout(patience)
            with its:
                self._send(its.fileno())
            while piece := ours.recv(PIECE):
                yield piece

    def _send(self, descriptor: int) -> None:
        with Qmp(self.guest.qmp) as qmp:
            qmp("migrate-set-capabilities", capabilities=[{"capability": "auto-converge", "state": True}])
            fast = site.hypervisor.move_rate << 20 or FAST
            qmp("migrate-set-parameters", **{"max-bandwidth": fast, "downtime-limit": STILL})
            qmp.hand(FD, descriptor)
            qmp("migrate", uri=f"fd:{FD}")

    def finish(self) -> None:
        """All is sent: the guest stands still from now on.  CommandFailed if it isn't."""
        with Qmp(self.guest.qmp) as qmp:
            if not wait(lambda: _state(qmp) not in ("active", "device", "setup"), SETTLE):
                raise Unreachable(f"the QEMU of {self.guest.name} doesn't come to an end")
            if (state := _state(qmp)) != "completed":
                raise CommandFailed(f"QEMU did not send {self.guest.name}: it is {state}")

    def keep(self) -> None:
        """Nothing comes of it: the guest goes on here."""
        with Qmp(self.guest.qmp) as qmp:
            with suppress(CommandFailed):  # there is nothing to call off
                qmp("migrate_cancel")
            wait(lambda: _state(qmp) not in ("active", "device", "setup", "cancelling"), SETTLE)
            wait(lambda: qmp.status() != "finish-migrate", SETTLE)
            deadline = time.monotonic() + SETTLE
            while qmp.status() == "postmigrate":
                try:
                    qmp("cont")
                except CommandFailed:  # the other side has the disks for a moment more
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)


class Coming:
    """A QEMU that waits for a guest: its link is guarded, no address leads to it, no disk is its own yet."""

    def __init__(self, driver: Qemu, config: DomainConfig, model: str) -> None:
        self.driver, self.guest = driver, Guest(config.name)
        self.config, self.model = config, model
        self.ours, self.its = socket.socketpair()

    def console(self, said: bytes) -> None:
        """What the guest has said elsewhere."""
        paths.make(self.guest.log.parent)
        with open(os.open(self.guest.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            log.write(said)

    def begin(self) -> None:
        """A QEMU waits for it."""
        self.driver.start(self.config, coming=self.model)
        with Qmp(self.guest.qmp, SETTLE) as qmp:
            late = [{"capability": "late-block-activate", "state": True}]
            qmp("migrate-set-capabilities", capabilities=late)
            qmp.hand(FD, self.its.fileno())
            qmp("migrate-incoming", uri=f"fd:{FD}")
        self.its.close()

    def take(self, piece: bytes, patience: float) -> None:
        """QEMU gets it."""
        self.ours.settimeout(patience)
        self.ours.sendall(piece)

    def finish(self) -> None:
        """All of it is here.  Raises what QEMU says if it isn't."""
        self.ours.close()
        with Qmp(self.guest.qmp) as qmp:
            wait(lambda: qmp.status() != "inmigrate", SETTLE)
            if (state := qmp.status()) != "paused":
                raise CommandFailed(f"QEMU did not take {self.guest.name} in: it is {state}")

    def said(self) -> str:
        """Why its QEMU has ended."""
        return self.driver.supervisor.said(self.guest)

    def drop(self) -> None:
        """It doesn't come."""
        self.ours.close()
        self.its.close()
        self.driver.destroy(self.guest.name)
        shutil.rmtree(self.guest.config_file.parent, ignore_errors=True)
        self.guest.coming.unlink(missing_ok=True)


def _state(qmp: Qmp) -> str:
    found = qmp("query-migrate")
    return str(found.get("status", "none")) if isinstance(found, dict) else "none"
