"""invirt-console-conserver: keeps the list of consoles of the console server's conserver."""

from __future__ import annotations

import argparse

from invirt.base.cli import Command
from invirt.base.conserver import Keeper
from invirt.base.notify import notify
from invirt.console import conserver
from invirt.database import connection
from invirt.database.follow import follow


def _arguments(parser: argparse.ArgumentParser) -> None:
    pass


def _run(arguments: argparse.Namespace) -> None:
    connection.role = "console"
    keeper = Keeper()
    keeper.begin()
    notify("READY=1")
    follow(conserver.CHANNEL, conserver.EVERY, lambda connected: conserver.update(connected, keeper))


COMMAND = Command(
    name="invirt-console-conserver",
    section=8,
    summary="keep the console server's list of consoles true",
    description=(
        "Writes /run/invirt/conserver/consoles.cf, a line for each machine that runs, whenever the database\n"
        "says that machines have come, gone, moved or been renamed, and lets conserver read it again."
    ),
    example="systemctl status invirt-console-conserver",
    arguments=_arguments,
    run=_run,
)
