"""remctl REMOTE web …: what the web server asks, in the name of its users."""

from __future__ import annotations

import argparse

from invirt.base.cli import Command
from invirt.remote import control, verbs
from invirt.remote.listing import LISTVMS
from invirt.remote.machines import DISKS, MACHINE

NAME = "invirt-remote-web"


def _arguments(parser: argparse.ArgumentParser) -> None:
    choices = verbs.install(parser, (*DISKS, LISTVMS, *MACHINE), web=True)
    summary = "boot, reboot, shut down or destroy a machine"
    sub = choices.add_parser("control", help=summary, description=summary, allow_abbrev=False)
    verbs.user_argument(sub)
    verbs.name_only(sub)
    verbs.install(sub, control.VERBS, web=False)


COMMAND = Command(
    name=NAME,
    section=8,
    summary="what `machine` and `control` do, in the name of a user",
    description=(
        "Run by remctld for the web server alone.  USER is the principal who acts: whether that user may is\n"
        "decided as if it had called itself, and the audit table names both."
    ),
    example="remctl remote.example.org web lvcreate alice inode hdb 10",
    arguments=_arguments,
    run=lambda arguments: verbs.for_user(arguments, NAME),
    remctl="web",
)
