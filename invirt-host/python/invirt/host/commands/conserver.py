"""invirt-host-conserver: keeps the list of consoles of the host's conserver."""

from __future__ import annotations

from invirt.base.cli import Argument, Command
from invirt.base.notify import notify
from invirt.database import connection
from invirt.database.follow import follow
from invirt.host.console import conserver, logs
from invirt.host.console.conserver_list import Keeper


def _run(host: str) -> None:
    connection.role = "host"
    keeper = Keeper()
    keeper.begin()
    logs.begin()
    notify("READY=1")
    follow(
        conserver.CHANNEL,
        conserver.EVERY,
        lambda connected: conserver.update(connected, keeper, host),
    )


COMMAND = Command(
    name="invirt-host-conserver",
    section=8,
    summary="keep the host's list of consoles true",
    description=(
        "Writes /run/invirt/conserver/consoles.cf, a line for each machine that runs here, whenever the\n"
        "database says that machines have come, gone, moved or been renamed, and lets conserver read it\n"
        "again. Keeps the consoles' logs short, and removes those of machines that are no more."
    ),
    example="systemctl status invirt-host-conserver",
    arguments=(Argument("host", "the host's name (default: this one's)", required=False, default=""),),
    run=_run,
    shown=None,
)
