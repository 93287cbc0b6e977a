"""Network cards that come and go while a guest runs: PCI hot-plug, in which its kernel takes part.

Whatever dies amid it: a link that isn't led yet (see network.vif) has no card that works, and
is made anew; what is left at the guest's end `invirt-guest clean` takes away.
"""

from __future__ import annotations

import os
from contextlib import suppress

from invirt.base.errors import Busy, CommandFailed, InvirtError, NotFound
from invirt.host.domain import DomainConfig
from invirt.host.network import vif
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.qmp import Qmp

PATIENCE = 2.0  # seconds for a QEMU's answer: meanwhile all guests wait for theirs


def plug(guest: Guest, config: DomainConfig, interface: str) -> None:
    """Plug in a card of the configuration, guard its link, and lead its addresses to it.

    Raises CommandFailed if QEMU can't, NotFound if a version that knew nothing of this has booted the
    guest, and Busy while it is on its way in from another host, where its addresses still lead.
    """
    with Qmp(guest.qmp, PATIENCE) as qmp:
        if qmp.status() == "inmigrate":
            raise Busy(f"{guest.name} is on its way in", hint="It has its cards when it is here.")
        if not _is_in(qmp, interface):
            _clear(qmp, interface)
            _put_in(qmp, guest, config, interface)
    vif.lead(interface)


def _put_in(qmp: Qmp, guest: Guest, config: DomainConfig, interface: str) -> None:
    nic, keeper = config.nic(interface), _keeper(guest)
    tap = vif.tap(interface)
    try:
        others = config.other_addresses(interface)
        vif.guard(interface, nic["mac"], nic["ip"].split(), guest.name, keeper, others)
        qmp.hand(interface, tap)
        qmp("netdev_add", type="tap", id=interface, fd=interface)
        qmp(
            "device_add",
            driver="virtio-net-pci",
            id=interface,
            netdev=interface,
            mac=nic["mac"],
            romfile="",
        )
    except InvirtError:
        with suppress(InvirtError):
            _clear(qmp, interface)
        vif.remove(interface)
        raise
    finally:
        os.close(tap)


def unplug(guest: Guest, interface: str) -> bool:
    """Ask the guest to let go the card of that interface; once it has, take away its link: True.

    That the link is gone the kernel says, not QEMU: till then its rules stay.
    """
    with Qmp(guest.qmp, PATIENCE) as qmp:
        if _is_in(qmp, interface):
            with suppress(CommandFailed):  # it was asked before
                qmp("device_del", id=interface)
            if _is_in(qmp, interface):
                return False
        _clear(qmp, interface)
    if vif.exists(interface):
        return False
    vif.remove(interface)
    return True


def _is_in(qmp: Qmp, interface: str) -> bool:
    devices = qmp("qom-list", path="/machine/peripheral")
    return isinstance(devices, list) and {"name": interface} in [{"name": one.get("name")} for one in devices]


def _clear(qmp: Qmp, interface: str) -> None:
    """Let QEMU close the tap, under whichever name it has it; no error if it has none."""
    with suppress(CommandFailed):
        qmp("netdev_del", id=interface)
    with suppress(CommandFailed):
        qmp("closefd", fdname=interface)


def _keeper(guest: Guest) -> int:
    try:
        return int(guest.keeper.read_text())
    except FileNotFoundError as error:
        raise NotFound(f"{guest.name} was booted by an older version") from error
