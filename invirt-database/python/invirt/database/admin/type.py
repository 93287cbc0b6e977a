"""Types of machines: how they are booted."""

from __future__ import annotations

import argparse

from invirt.base.errors import BadInput
from invirt.database.admin.verbs import Group, Parser, Row, Verb, name_only, nothing, refuse_if_used
from invirt.database.models import Machine, Type
from invirt.database.session import session

FIELDS = ("virt", "description", "kernel", "initrd", "append")


def _fields(parser: Parser) -> None:
    parser.add_argument("name")
    parser.add_argument("--virt", choices=("pv", "pvh", "hvm"), help="default: pvh")
    parser.add_argument("--description")
    parser.add_argument("--kernel", help="file on the hosts; without one a machine boots from its disk")
    parser.add_argument("--initrd", help="file on the hosts")
    parser.add_argument("--append", help="the kernel's command line")


def _given(arguments: argparse.Namespace) -> dict[str, str]:
    return {name: value for name in FIELDS if (value := getattr(arguments, name)) is not None}


def _add(arguments: argparse.Namespace) -> None:
    session.add(Type(name=arguments.name, **{"virt": "pvh", **_given(arguments)}))


def _set(arguments: argparse.Namespace) -> None:
    found, given = Type.get(name=arguments.name), _given(arguments)
    if not given:
        raise BadInput("nothing to set", hint=f"Give one of --{', --'.join(FIELDS)}.")
    for name, value in given.items():
        setattr(found, name, value or None if name in ("kernel", "initrd", "append") else value)


def _list(arguments: argparse.Namespace) -> list[Row]:
    return [{"name": found.name, **{name: getattr(found, name) for name in FIELDS}} for found in Type.find()]


def _remove(arguments: argparse.Namespace) -> None:
    found = Type.get(name=arguments.name)
    refuse_if_used(f"the type {found.name}", Machine.find(type_id=found.type_id))
    session.delete(found)


GROUP = Group(
    "type",
    "kinds of machines and how they boot",
    (
        Verb("add", "add a type", _fields, _add),
        Verb("list", "show all", nothing, _list),
        Verb("set", "change a type; an empty text removes a value", _fields, _set),
        Verb("remove", "remove a type that no machine is of", name_only, _remove),
    ),
)
