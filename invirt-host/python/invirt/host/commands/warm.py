"""Keeps workers ready for the programs that remctld, and its jobs, start on a host."""

from __future__ import annotations

from functools import partial
from typing import Any, NoReturn

from sqlalchemy.orm import configure_mappers

from invirt.base import cli, remctl, warm
from invirt.base.worker import Role
from invirt.database import models  # noqa: F401
from invirt.database.ahead import Ahead
from invirt.host import loading, reservation
from invirt.host.commands import domain, job, status, volume, work

PROGRAMS = (domain.COMMAND, volume.COMMAND, job.COMMAND, status.COMMAND)
SPARE = 4  # a boot asks three times in a row; each holds a session of the database


def usual(cursor: Any) -> None:
    """What a boot asks first."""
    cursor.execute(reservation.RESERVED, ("",))


def serve() -> NoReturn:
    """Until it is ended."""
    loading.hypervisor()  # for what it imports
    loading.storages()
    configure_mappers()  # of the models, by which a domain's configuration is read
    programs = {one.name: partial(remctl.main, one) for one in PROGRAMS}
    programs[work.COMMAND.name] = partial(cli.main, work.COMMAND)
    warm.serve(Role("host", programs, partial(Ahead, "host", usual), SPARE))


COMMAND = warm.command("host", "the remote server asks", serve)
