"""Keeps workers ready for the programs that remctld starts on a remote server."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import NoReturn

from invirt.base import remctl, warm
from invirt.base.cli import Command
from invirt.base.worker import Role
from invirt.database.ahead import Ahead
from invirt.remote.audit import record
from invirt.remote.commands import admin, control, machine, web

PROGRAMS = (machine.COMMAND, control.COMMAND, web.COMMAND, admin.COMMAND)
LATER = ("remctl", "invirt.remote.answers", "invirt.remote.hosts", "invirt.remote.operations")
SPARE = 4  # each holds a session of the database


def serve() -> NoReturn:
    """Until it is ended."""
    for module in LATER:  # which those programs import when they need it
        import_module(module)
    programs = {one.name: partial(remctl.main, one, audit=record) for one in PROGRAMS}
    warm.serve(Role("remote", programs, partial(Ahead, "remote"), SPARE))


COMMAND = Command(
    name="invirt-remote-warm",
    section=8,
    summary="keep workers ready for what users ask for",
    description=(
        "Run by invirt-remote-warm.service.  Each worker has modules, configuration and a session of the\n"
        "database, does one command that remctld's program hands to it, and ends.  Where there is none,\n"
        "that program does its work itself."
    ),
    example="systemctl restart invirt-remote-warm.service",
    run=serve,
    shown=None,
)
