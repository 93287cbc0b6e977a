"""A guest's interface, for Xen's vif script: `vif add INTERFACE DOMAIN MAC ADDRESS…`, `vif remove INTERFACE`.

Xen calls `remove` when the interface may be gone already, and for a guest that moves after
the other host's `add`: so what is undone is the interface's, never an address'.
"""

from __future__ import annotations

import sys

from invirt.base.errors import BadInput, InvirtError
from invirt.base.names import DomainName, machine_of
from invirt.host.network import vif
from invirt.host.network.routes import EMULATED
from invirt.host.records import Record
from invirt.host.xen.xl import INCOMING


def main() -> int:
    """Do it, or say why not; returns the exit code."""
    try:
        act(*sys.argv[1:])
    except InvirtError as error:
        print(f"{error.message}\n{error.hint}".strip(), file=sys.stderr)
        return error.exit_code
    return 0


def act(verb: str = "", interface: str = "", domain: str = "", mac: str = "", *addresses: str) -> None:
    """Guard and lead, or no more; raises BadInput for another verb.

    A machine's that comes from another host runs there yet: its addresses are led when it has arrived.
    """
    if verb == "add":
        name = DomainName(domain.removesuffix(INCOMING))
        bring = vif.guard if domain.endswith(INCOMING) and machine_of(name) else vif.add
        bring(interface, mac, addresses, name, others=others(name, interface.removesuffix(EMULATED)))
    elif verb == "remove":
        vif.remove(interface)
    else:
        raise BadInput(f"{verb!a} is neither add nor remove")


def others(name: DomainName, interface: str) -> list[str]:
    """The addresses of the guest's other links, from which it may send here, too."""
    try:
        return Record(name).config().other_addresses(interface)
    except (OSError, ValueError):  # an administrator's own
        return []
