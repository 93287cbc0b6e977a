"""invirt-consolefs: a home for each machine's login, from the database."""

from __future__ import annotations

from pathlib import Path

from invirt.base import snapshotfs
from invirt.base.cli import SITE, Command
from invirt.console.consolefs import DEADLINE, MOUNTPOINT, PROGRAM, ConsoleFS
from invirt.database import connection
from invirt.database.asker import Asker


def _run(mountpoint: Path) -> None:
    connection.role = "console"
    snapshotfs.mount(ConsoleFS(Asker(DEADLINE)), mountpoint, PROGRAM)


COMMAND = Command(
    name=PROGRAM,
    section=8,
    summary="serve the homes of the machines' logins from the database",
    description=(
        "Mounts a read-only file system with a folder for each machine: `.k5login`, the principals who may\n"
        "have its console, `keys`, their public keys, and `host`, where the machine runs. Each file is made\n"
        "when it is opened; if the database doesn't answer, opening fails and nobody is let in. Runs until\n"
        "it is unmounted or ended."
    ),
    files={
        **SITE,
        "/consolefs/NAME/.k5login, keys": "who comes to a machine's console by ticket, or by key",
        "/consolefs/NAME/host": "where that machine runs",
    },
    example="invirt-consolefs /consolefs",
    arguments=(snapshotfs.mountpoint(MOUNTPOINT),),
    run=_run,
    shown=None,
)
