"""invirt-admin: tells the database of hosts, addresses, types, owners, quotas and keys."""

from __future__ import annotations

import argparse
import os

from invirt.base import log
from invirt.base.cli import Command
from invirt.database.admin import host, key, machine, nic, owner, range, record, trash, type, verbs
from invirt.database.models import Audit
from invirt.database.session import session, transaction

GROUPS = (
    host.GROUP,
    range.GROUP,
    type.GROUP,
    owner.GROUP,
    owner.MEMBER,
    machine.GROUP,
    machine.RESERVED,
    nic.GROUP,
    record.GROUP,
    key.GROUP,
    trash.GROUP,
)
LONGEST = 1000  # letters of the arguments in the audit table
ALONE = (machine.RESERVE, machine.UNRESERVE)


def _arguments(parser: argparse.ArgumentParser) -> None:
    groups = parser.add_subparsers(dest="group", required=True, metavar="what")
    for group in GROUPS:
        known = groups.add_parser(group.name, help=group.summary, allow_abbrev=False)
        kinds = known.add_subparsers(dest="verb", required=True, metavar="verb")
        for verb in group.verbs:
            _add(kinds.add_parser(verb.name, help=verb.summary, allow_abbrev=False), verb)
    for verb in ALONE:
        _add(groups.add_parser(verb.name, help=verb.summary, allow_abbrev=False), verb)


def _add(parser: argparse.ArgumentParser, verb: verbs.Verb) -> None:
    parser.set_defaults(does=verb, json=False)
    verb.arguments(parser)
    if verb.name == "list":
        parser.add_argument("--json", action="store_true", help="for programs")


def _run(arguments: argparse.Namespace) -> None:
    with transaction():
        rows = arguments.does.run(arguments)
        if rows is None:
            session.add(_entry(arguments))
    if rows is not None:
        verbs.show(rows, arguments.json)


def _entry(arguments: argparse.Namespace) -> Audit:
    """The audit table's row of what was changed, in the same transaction; by name, under sudo."""
    given = {name: value for name, value in vars(arguments).items() if name not in ("does", "json")}
    shown = " ".join(
        log.quoted(f"{name}={value}") for name, value in given.items() if value not in (None, [])
    )
    return Audit(
        principal=os.environ.get("SUDO_USER", "root"),
        command="invirt-admin",
        arguments=shown[:LONGEST],
        outcome="succeeded",
    )


COMMAND = Command(
    name="invirt-admin",
    section=8,
    summary="Tell Invirt's database of hosts, addresses, types, owners, quotas and keys.",
    description=(
        "Run it as root on the database server. Each call is one transaction: what the\n"
        "database refuses is not done in part, what is done is in the table audit.\n"
        "Memory is in MiB, disk in GiB."
    ),
    example=(
        "invirt-admin host add host1 --hostname host1.example.org --memory 65536\n"
        'invirt-admin key add alice@EXAMPLE.ORG "$(cat alice.pub)"'
    ),
    arguments=_arguments,
    run=_run,
)
