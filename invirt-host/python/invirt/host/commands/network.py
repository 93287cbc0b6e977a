"""invirt-host-network: keeps the rules and routes of running guests true."""

from __future__ import annotations

from invirt.base.cli import Command
from invirt.base.notify import notify
from invirt.database import connection
from invirt.database.follow import follow
from invirt.host.network import renewal


def _run() -> None:
    connection.role = "host"
    renewal.renew()
    notify("READY=1")
    follow(renewal.CHANNEL, renewal.EVERY, renewal.update)


COMMAND = Command(
    name="invirt-host-network",
    section=8,
    summary="let running guests' rules and routes follow the database",
    description=(
        "When the address of a running machine is changed or taken away, its rules and routes are changed\n"
        "at once. The guest learns its new address at its next DHCP renewal. A machine's interface that is\n"
        "left without an address goes down."
    ),
    example="systemctl status invirt-host-network",
    run=_run,
    shown=None,
)
