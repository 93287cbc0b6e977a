"""Guests that run have the network cards that the database says, from the moment of the change.

A NIC with an address that a running guest has no link for is plugged in, with what its
configuration (/etc/xen/invirt-database) says of it now; one whose row is gone is plugged
out.  What can't be done is logged, once, and tried again: the guest's next boot does it at the latest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from invirt.base import log
from invirt.base.errors import Busy, InvirtError
from invirt.base.names import MachineName, domain_of, machine_of
from invirt.database.connection import Connection
from invirt.host import loading, tokens, xmconfig
from invirt.host.network import vif

PATIENCE = 1.0  # seconds for what else is done with the machine, such as its boot; the next look will do
# A host sees its own reservations alone.
WANTED = """
SELECT m.name, n.nic_id FROM machines m JOIN nics n USING (machine_id)
WHERE m.name = ANY(%s) AND (n.ip IS NOT NULL OR n.ip6 IS NOT NULL)
    AND EXISTS (SELECT FROM reservations r WHERE r.machine_id = m.machine_id)
ORDER BY n.nic_id
"""
KNOWN = "SELECT nic_id FROM nics WHERE nic_id = ANY(%s)"


class Cards:
    """What is done about them, and what was said of each interface last."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def update(self, connected: Connection) -> None:
        """Plug in and out what is to be; what can't be is logged."""
        try:
            domains = loading.hypervisor().domains()
        except InvirtError as error:
            self._say("", f"what runs here isn't known: {error.message} {error.hint}", log.WARNING)
            return
        names = {name for domain in domains if (name := machine_of(domain.name))}
        links = vif.links()
        # Not the second of two that Xen gives a NIC.
        numbers = {number: one for one in links if vif.interface(number := vif.number(one)) == one}
        with connected.cursor() as cursor:
            cursor.execute(WANTED, (list(names),))
            wanted = {vif.interface(number): name for name, number in cursor.fetchall()}
            cursor.execute(KNOWN, (list(numbers),))
            known = {number for (number,) in cursor.fetchall()}
        for interface, name in wanted.items():
            if not _works(links, interface):
                self._bring(name, interface, _plug)
        for number, interface in numbers.items():
            owner = machine_of(links[interface].name)
            if owner in names and owner and number not in known:
                self._bring(owner, interface, _unplug)

    def _bring(self, name: MachineName, interface: str, do: Callable[[MachineName, str], bool]) -> None:
        try:
            with tokens.locked(name, PATIENCE):
                if not do(name, interface):
                    return
            said, priority = "done", log.INFO
        except Busy:  # it is being booted, perhaps with it
            return
        except InvirtError as error:
            said, priority = f"{error.message} {error.hint}", log.WARNING
        self._say(interface, f"{domain_of(name)}, to {do.__name__.strip('_')} {interface}: {said}", priority)

    def _say(self, interface: str, text: str, priority: int) -> None:
        """Once, until there is something else to be said."""
        if self.said.get(interface) != text:
            log.write(text, priority)
        self.said[interface] = text


def _plug(name: MachineName, interface: str) -> bool:
    if _works(vif.links(), interface):
        return False
    config = xmconfig.evaluate(xmconfig.find("invirt-database"), {"machine_name": name})
    loading.hypervisor().plug(config, interface)
    return True


def _unplug(name: MachineName, interface: str) -> bool:
    link = vif.links().get(interface)
    return link is not None and loading.hypervisor().unplug(domain_of(name), interface, link.mac)


def _works(links: Mapping[str, vif.Link], interface: str) -> bool:
    return interface in links and links[interface].led
