"""Disks: what is the same everywhere, and a driver a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from invirt.host.storage.volumes import Storage


def load() -> Storage:
    """This host's storage, as sites' own copies of /etc/xen/invirt-database ask for it."""
    from invirt.host import loading

    return loading.storage()
