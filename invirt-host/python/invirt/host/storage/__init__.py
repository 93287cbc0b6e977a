"""Disks: what is the same everywhere, a driver a kind, and the pools that this host sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from invirt.host.storage.pools import OfMachines


def load() -> OfMachines:
    """Where machines' disks are, as sites' own copies of /etc/xen/invirt-database ask for it."""
    from invirt.host.storage.pools import OfMachines

    return OfMachines()
