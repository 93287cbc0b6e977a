"""Becomes QEMU: opens all that the guest needs, drops root, and executes it.

Run by invirt-guest@NAME.service (or, where systemd doesn't run, as a child).
"""

from __future__ import annotations

import os
import socket
import sys
import time
from functools import partial
from pathlib import Path
from typing import NoReturn

from invirt.base import lock
from invirt.base.errors import Busy, CommandFailed, InvirtError, NotFound
from invirt.base.names import DomainName
from invirt.host import paths
from invirt.host.domain import DomainConfig, domain_name
from invirt.host.network import owned, vif
from invirt.host.qemu import accelerator, identity, screen
from invirt.host.qemu.guest import Guest, arguments, is_written

PATIENCE = 1.0  # seconds for the lock: who looks whether the guest runs holds it too, shared


def main() -> NoReturn:
    """Launch the domain that the first argument names, or say why not."""
    try:
        launch(domain_name(sys.argv[1]))
    except InvirtError as error:
        sys.exit(f"{error.message}\n{error.hint}".strip())


def launch(name: DomainName, accelerated: str = "") -> NoReturn:
    """Execute QEMU for the domain as its configuration was written down.  Busy if it runs already.

    accelerated: by kvm or tcg; by default by what this host has.
    """
    guest = Guest(name)
    _hold(guest)
    config = guest.config()
    uid = identity.uid(config)
    identity.hold(uid)
    coming = guest.coming.read_text() if guest.coming.exists() else ""
    kept = 0 if coming else os.O_TRUNC
    descriptors = {
        "qmp": _listen(guest.qmp),
        "events": _listen(guest.events),
        "console": _listen(guest.console),
        "log": os.open(guest.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | kept, 0o600),
        **_disks(config),
    }
    links = config.devices("vif")
    keeper = owned.keeper() if links or config.machine else None  # a machine may be given links later
    if keeper is not None:
        paths.write(guest.keeper, str(keeper))
    for nic in links:
        descriptors[nic["vifname"]] = vif.tap(nic["vifname"])
        others = config.other_addresses(nic["vifname"])
        bring = vif.guard if coming else partial(vif.add, soon=True)
        bring(nic["vifname"], nic["mac"], nic["ip"].split(), name, keeper, others)
    if config.machine and screen.has(config):
        descriptors["screen"] = screen.place(config.machine)
        os.umask(0)  # for who passes the folder of all screens; QEMU makes nothing else
    if guest.told.exists():
        descriptors["told"] = _once(guest.told)
    argv = arguments(config, accelerated or accelerator.chosen()[0], descriptors, coming)
    for descriptor in descriptors.values():
        os.set_inheritable(descriptor, True)
    identity.assume(uid)
    try:
        os.execv(argv[0], argv)
    except FileNotFoundError as error:
        raise CommandFailed(f"{argv[0]} is not installed", hint="apt-get install qemu-system-x86") from error


def _hold(guest: Guest) -> None:
    """Take the guest's lock for as long as this process, which becomes QEMU, lives."""
    paths.make(guest.lock.parent)
    descriptor = os.open(guest.lock, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(descriptor, True)
    if not lock.take(descriptor, PATIENCE):
        raise Busy(f"{guest.name} runs already")
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.environ.get('INVOCATION_ID', '')} {time.time_ns()}".encode())


def _listen(path: Path) -> int:
    """A listening socket for root alone, which QEMU inherits."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(5)
    return listening.detach()


def _once(path: Path) -> int:
    """A file that has no name any more, and that QEMU's user may read."""
    descriptor = os.memfd_create("told")
    os.write(descriptor, path.read_bytes())
    path.unlink()
    return descriptor


def _disks(config: DomainConfig) -> dict[str, int]:
    found = {}
    for disk in config.devices("disk"):
        try:
            access = os.O_RDWR if is_written(disk) else os.O_RDONLY
            found[disk["vdev"]] = os.open(disk["target"], access)
        except FileNotFoundError as error:
            raise NotFound(f"{config.name} has no disk {disk['vdev']}: no {disk['target']}") from error
    return found
