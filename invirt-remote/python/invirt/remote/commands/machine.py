"""remctl REMOTE machine …: what every authenticated user can ask for."""

from __future__ import annotations

import argparse

from invirt.base.cli import Command
from invirt.remote import verbs
from invirt.remote.machines import MACHINE

NAME = "invirt-remote-machine"


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs.install(parser, MACHINE, web=False)


COMMAND = Command(
    name=NAME,
    section=8,
    summary="make, see, change and delete one's machines",
    description=(
        "Run by remctld for every authenticated user.  Memory is in MiB, disks are in GiB.  What may be\n"
        "used is the owner's quota; who may control a machine is asked of the database at each call."
    ),
    example="remctl remote.example.org machine create inode --memory 512 --disk 10",
    arguments=_arguments,
    run=lambda arguments: verbs.for_caller(arguments, NAME),
    remctl="machine",
)
