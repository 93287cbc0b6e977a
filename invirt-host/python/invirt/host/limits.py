"""Running guests are held to what the database says, from its change on, and after each boot and move.

CPUs by the guest's unit (cgroup), disks by QEMU's own throttling; under Xen CPUs by its scheduler, disks by
the guest's unit; the network by tc (what the guest receives) and nftables (what it sends).  What can't be
done is logged, once, and tried again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from invirt.base import log
from invirt.base.abilities import Can
from invirt.base.errors import BadInput, InvirtError
from invirt.base.names import MachineName, domain_of, machine_of
from invirt.database.connection import Connection
from invirt.host import loading
from invirt.host.network import shaping, vif
from invirt.host.protocols import Limits

CHANNEL = "nics"
EVERY = 2.0  # seconds between looks without word of a change: a guest may have been booted, or have come
AGAIN = 60.0  # seconds until it is said again to a guest that has it: others may have taken it away
# A host sees its own reservations alone.
WANTED = """
SELECT m.name, l.resource, l.amount FROM machines m JOIN limits l USING (machine_id)
WHERE m.name = ANY(%s) AND l.amount IS NOT NULL
    AND EXISTS (SELECT FROM reservations r WHERE r.machine_id = m.machine_id)
"""


@dataclass(frozen=True)
class _Held:
    """What a guest was held to.  birth: of this launch, and with these links."""

    limits: Limits
    birth: tuple[str, ...]


class Keeper:
    """What guests are held to, and what was said of them last."""

    def __init__(self) -> None:
        self.held: dict[MachineName, _Held] = {}
        self.said: dict[MachineName, str] = {}
        self.links: frozenset[str] = frozenset()
        self.next = 0.0

    def update(self, connected: Connection) -> None:
        """Hold each guest to what is to be."""
        hypervisor, links = loading.hypervisor(), vif.links()
        try:
            births = {name: birth for one, birth in hypervisor.births().items() if (name := machine_of(one))}
        except InvirtError:  # said by those who ask first
            return
        if anew := time.monotonic() > self.next:
            self.held.clear()
            self.next = time.monotonic() + AGAIN
        if anew or self.links - links.keys():
            shaping.forget(links)
        self.links = frozenset(links)
        wanted = _wanted(connected, births)
        for name, birth in births.items():
            mine = sorted(one for one, link in links.items() if link.name == domain_of(name) and link.led)
            held = _Held(wanted.get(name, Limits()), (birth, *mine))
            if self.held.get(name) != held:
                self._hold(name, held, mine)
        self.held = {name: held for name, held in self.held.items() if name in births}

    def _hold(self, name: MachineName, held: _Held, links: Iterable[str]) -> None:
        hypervisor = loading.hypervisor()
        try:
            for link in links:
                shaping.shape(link, held.limits.download, held.limits.upload)
            if Can.CAP in hypervisor.can:
                hypervisor.limit(domain_of(name), held.limits)
            self.held[name], said = held, ""
        except InvirtError as error:
            said = f"{name} can't be held to its limits: {error.message} {error.hint}"
            if isinstance(error, BadInput):  # nor will it be in a moment
                self.held[name] = held
        if said and self.said.get(name) != said:
            log.write(said, log.WARNING, machine=name)
        self.said[name] = said


def _wanted(connected: Connection, names: Iterable[MachineName]) -> Mapping[MachineName, Limits]:
    each: dict[MachineName, dict[str, int]] = {}
    with connected.cursor() as cursor:
        cursor.execute(WANTED, (list(names),))
        for name, resource, amount in cursor.fetchall():
            each.setdefault(MachineName(name), {})[resource] = amount
    return {name: Limits(**amounts) for name, amounts in each.items()}
