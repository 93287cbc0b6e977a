"""Machines, to be looked at (remote alone changes them), and names that none may have."""

from __future__ import annotations

from invirt.base.cli import Argument, Group, Verb
from invirt.database.admin.verbs import Row, listing
from invirt.database.models import Machine, ReservedName
from invirt.database.session import session


def _list() -> list[Row]:
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


def _reserve(names: tuple[str, ...]) -> None:
    session.add_all(ReservedName(name=name) for name in dict.fromkeys(names))


def _unreserve(names: tuple[str, ...]) -> None:
    for found in [ReservedName.get(name=name) for name in dict.fromkeys(names)]:
        session.delete(found)


def _reserved() -> list[Row]:
    return [{"name": found.name} for found in ReservedName.find()]


NAMES = Argument("names", "what no machine may be called", metavar="NAME", several=True, sample="www")
GROUP = Group(
    "machine",
    "the users' machines",
    (listing("show all: memory in MiB, disk in GiB, host where one is on", _list),),
)
RESERVED = Group(
    "reserved", "names that no machine may have", (listing("show all reserved names", _reserved),)
)
RESERVE = Verb("reserve", "let no machine have these names", _reserve, (NAMES,), changes=True)
UNRESERVE = Verb("unreserve", "let machines have these names again", _unreserve, (NAMES,), changes=True)
