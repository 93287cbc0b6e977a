"""Guests that run have the addresses that the database says, from the moment of the change.

Rules and routes follow at once.  The guest itself hears of it at its next
renewal, which its old address doesn't keep from being answered: see
dhcp_of_guest in invirt.host.network.rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from invirt.base import log
from invirt.base.errors import InvirtError
from invirt.base.names import machine_of
from invirt.database.connection import Connection
from invirt.host import tokens
from invirt.host.network import vif

CHANNEL = "nics"
EVERY = 10.0  # seconds between looks without word of a change: one may come while a guest is being booted
PATIENCE = 1.0  # seconds for what else is done with the machine; the next look will do
NICS = """
SELECT n.nic_id, array_remove(ARRAY[host(n.ip), host(n.ip6)], NULL), ARRAY(
    SELECT host(address) FROM nics o CROSS JOIN LATERAL (VALUES (1, o.ip), (2, o.ip6)) AS a (kind, address)
    WHERE o.machine_id = n.machine_id AND o.nic_id <> n.nic_id AND address IS NOT NULL
    ORDER BY o.nic_id, kind)
FROM nics n WHERE n.nic_id = ANY(%s)
"""


def update(connected: Connection) -> None:
    """Bring the links of this host's guests up to date; one that can't be is logged."""
    links = vif.links()
    numbers = {interface: vif.number(interface) for interface in links}
    with connected.cursor() as cursor:
        cursor.execute(NICS, (list(numbers.values()),))
        nics = {number: (addresses, others) for number, addresses, others in cursor.fetchall()}
    for interface, link in links.items():
        addresses, others = nics.get(numbers[interface], ([], []))
        if set(addresses) != set(link.addresses) or set(others) != set(link.others):
            _follow(interface, link, addresses, others)


def renew() -> None:
    """Give guests that an older version has booted the rules of this one; what can't be is logged."""
    for interface, link in vif.links().items():
        try:
            with tokens.locked(machine_of(link.name) or interface, PATIENCE):
                if link.addresses and vif.links().get(interface) == link:
                    vif.renew(interface, link)
        except InvirtError as error:
            log.write(f"rules of {interface} stay as they are: {error.message} {error.hint}", log.WARNING)


def _follow(interface: str, link: vif.Link, addresses: Sequence[str], others: Sequence[str]) -> None:
    what = f"{link.name or '-'} on {interface}: {' '.join(addresses) or 'no address'}"
    try:
        with tokens.locked(machine_of(link.name) or interface, PATIENCE):
            if vif.links().get(interface) == link:  # it may have been booted anew meanwhile
                vif.change(interface, addresses, others)
                log.write(what)
    except InvirtError as error:
        log.write(f"{what} failed: {error.message} {error.hint}", log.WARNING)
