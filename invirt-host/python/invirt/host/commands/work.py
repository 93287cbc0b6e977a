"""invirt-job: what the unit of a job runs."""

from __future__ import annotations

from invirt.base import validate
from invirt.base.cli import Argument, Command
from invirt.host import jobs
from invirt.host.commands.job import COMMANDS


def _work(token: int) -> None:
    jobs.work(token, COMMANDS)


COMMAND = Command(
    name="invirt-job",
    section=8,
    summary="do what remote has begun on this host",
    description="Run by invirt-host-job@TOKEN.service: the job of a token that `job begin` was told. "
    "It is done once, and how it ended is what `job status` says.",
    example="invirt-job 1234",
    arguments=(Argument("token", "the job's", validate.token, "TOKEN"),),
    run=_work,
    shown=None,
)
