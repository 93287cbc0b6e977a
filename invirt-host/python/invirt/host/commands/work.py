"""invirt-job: what the unit of a job runs."""

from __future__ import annotations

import argparse

from invirt.base import validate
from invirt.base.cli import Command
from invirt.host import jobs
from invirt.host.commands.job import COMMANDS


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token", metavar="TOKEN", type=validate.token)


COMMAND = Command(
    name="invirt-job",
    section=8,
    summary="do what remote has begun on this host",
    description="Run by invirt-host-job@TOKEN.service: the job of a token that `job begin` was told. "
    "It is done once, and how it ended is what `job status` says.",
    example="invirt-job 1234",
    arguments=_arguments,
    run=lambda arguments: jobs.work(arguments.token, COMMANDS),
)
