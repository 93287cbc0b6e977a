"""invirt-remconffs: remctl's configuration and access lists, read from the database when they are opened."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from invirt import config
from invirt.base import snapshotfs
from invirt.base.cli import SITE, Command
from invirt.database import connection, reach
from invirt.remote.remconffs import MOUNTPOINT, PROGRAM, RemConf


def _run(mountpoint: Path) -> None:
    connection.role = "remote"
    connect = partial(reach.connect, config.database.connect_timeout)
    snapshotfs.mount(RemConf(connect), mountpoint, PROGRAM)


COMMAND = Command(
    name=PROGRAM,
    section=8,
    summary="serve remctl's lines and access lists of all machines from the database",
    description=(
        "Mounts a read-only file system that holds `conf`, with a line for each machine, and `acl/NAME`,\n"
        "with the principals who may control it.  Each file is made when it is opened; if the database\n"
        "doesn't answer, opening fails and nobody is let in.  Runs until it is unmounted or ended."
    ),
    files={
        **SITE,
        "/etc/remctl/remconffs": "where it is mounted: remctld reads conf and acl/NAME there",
    },
    example="invirt-remconffs /etc/remctl/remconffs",
    arguments=(snapshotfs.mountpoint(MOUNTPOINT),),
    run=_run,
    shown=None,
)
