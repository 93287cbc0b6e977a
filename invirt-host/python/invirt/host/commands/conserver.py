"""invirt-host-conserver: keeps the list of consoles of the host's conserver."""

from __future__ import annotations

import argparse

from invirt.base.cli import Command
from invirt.base.notify import notify
from invirt.database import connection
from invirt.database.follow import follow
from invirt.host.console import conserver, logs
from invirt.host.console.conserver_list import Keeper


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", nargs="?", default="", help="the host's name (default: this one's)")


def _run(arguments: argparse.Namespace) -> None:
    connection.role = "host"
    keeper = Keeper()
    keeper.begin()
    logs.begin()
    notify("READY=1")
    follow(
        conserver.CHANNEL,
        conserver.EVERY,
        lambda connected: conserver.update(connected, keeper, arguments.host),
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
    arguments=_arguments,
    run=_run,
)
