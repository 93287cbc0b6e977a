"""remctl REMOTE machine …: what every authenticated user can ask for."""

from __future__ import annotations

from invirt.base.cli import Command
from invirt.remote import verbs
from invirt.remote.machines import MACHINE

NAME = "invirt-remote-machine"


COMMAND = Command(
    name=NAME,
    section=8,
    summary="make, see, change and delete one's machines",
    description=(
        "Run by remctld for every authenticated user.  Sizes may have a unit; without one memory is in\n"
        "MiB, a disk in GiB.  What may be\n"
        "used is the owner's quota; who may control a machine is asked of the database at each call."
    ),
    example="remctl remote.example.org machine create inode --memory 512M --disk 10G",
    verbs=MACHINE,
    do=lambda call: verbs.for_caller(call, NAME),
    remctl="machine",
)
