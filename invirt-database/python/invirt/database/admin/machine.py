"""Machines, to be looked at (remote alone changes them), and names that none may have."""

from __future__ import annotations

import argparse

from invirt.database.admin.verbs import Group, Parser, Row, Verb, nothing
from invirt.database.models import Machine, ReservedName
from invirt.database.session import session


def _list(arguments: argparse.Namespace) -> list[Row]:
    return [
        {
            "name": machine.name,
            "owner": machine.owner.name,
            "type": machine.type.name,
            "memory": machine.memory,
            "disk": sum(disk.size for disk in machine.disks),
            "cpus": machine.cpus,
            "address": " ".join(one for nic in machine.nics for one in nic.addresses),
            "host": machine.host.name if machine.host else None,
        }
        for machine in sorted(Machine.find(), key=lambda machine: machine.name)
    ]


def _names(parser: Parser) -> None:
    parser.add_argument("names", nargs="+", metavar="name")


def _reserve(arguments: argparse.Namespace) -> None:
    session.add_all(ReservedName(name=name) for name in dict.fromkeys(arguments.names))


def _unreserve(arguments: argparse.Namespace) -> None:
    for found in [ReservedName.get(name=name) for name in dict.fromkeys(arguments.names)]:
        session.delete(found)


def _reserved(arguments: argparse.Namespace) -> list[Row]:
    return [{"name": found.name} for found in ReservedName.find()]


GROUP = Group(
    "machine",
    "the users' machines",
    (Verb("list", "show all: memory in MiB, disk in GiB, host where one is on", nothing, _list),),
)
RESERVED = Group(
    "reserved", "names that no machine may have", (Verb("list", "show all", nothing, _reserved),)
)
RESERVE = Verb("reserve", "let no machine have these names", _names, _reserve)
UNRESERVE = Verb("unreserve", "take that back", _names, _unreserve)
