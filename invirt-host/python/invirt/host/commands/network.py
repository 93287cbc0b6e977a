"""invirt-host-network: keeps rules, routes and network cards of running guests true."""

from __future__ import annotations

from invirt.base.cli import Command
from invirt.base.notify import notify
from invirt.database import connection
from invirt.database.connection import Connection
from invirt.database.follow import follow
from invirt.host.network import cards, renewal


def _run() -> None:
    connection.role = "host"
    renewal.renew()
    notify("READY=1")
    plugged = cards.Cards()

    def update(connected: Connection) -> None:
        renewal.update(connected)
        plugged.update(connected)

    follow(renewal.CHANNEL, renewal.EVERY, update)


COMMAND = Command(
    name="invirt-host-network",
    section=8,
    summary="let running guests' rules, routes and network cards follow the database",
    description=(
        "When the address of a running machine is changed or taken away, its rules and routes are changed\n"
        "at once. The guest learns its new address at its next DHCP renewal. A machine's interface that is\n"
        "left without an address goes down. A new NIC is plugged into the running guest, and one that was\n"
        "removed is plugged out; what can't be is logged, and comes when the machine is booted again."
    ),
    example="systemctl status invirt-host-network",
    run=_run,
    shown=None,
)
