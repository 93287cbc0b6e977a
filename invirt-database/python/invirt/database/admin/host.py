"""Hosts: the servers that run guests."""

from __future__ import annotations

import argparse

from invirt.base.errors import BadInput
from invirt.database.admin.verbs import Group, Parser, Row, Verb, name_only, nothing, refuse_if_used, whole
from invirt.database.models import Host
from invirt.database.session import session


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("name", help="short, as in host1")
    parser.add_argument("--hostname", required=True, help="full, as in its Kerberos principal")
    parser.add_argument("--memory", required=True, type=whole, metavar="MIB", help="what guests may have")
    parser.add_argument("--disabled", action="store_true", help="boot nothing there yet")


def _add(arguments: argparse.Namespace) -> None:
    host = Host(name=arguments.name, hostname=arguments.hostname, memory=arguments.memory)
    host.enabled = not arguments.disabled
    session.add(host)


def _list(arguments: argparse.Namespace) -> list[Row]:
    return [
        {
            "name": host.name,
            "hostname": host.hostname,
            "memory": host.memory,
            "reserved": sum(one.memory for one in host.reservations),
            "machines": len(host.reservations),
            "enabled": "yes" if host.enabled else "no",
        }
        for host in Host.find()
    ]


def _set_arguments(parser: Parser) -> None:
    parser.add_argument("name")
    parser.add_argument("--hostname")
    parser.add_argument("--memory", type=whole, metavar="MIB", help="what guests may have")
    enabled = parser.add_mutually_exclusive_group()
    enabled.add_argument("--enable", dest="enabled", action="store_true", default=None)
    enabled.add_argument("--disable", dest="enabled", action="store_false", help="boot nothing more there")


def _set(arguments: argparse.Namespace) -> None:
    host = Host.get(name=arguments.name)
    wanted = {name: getattr(arguments, name) for name in ("hostname", "memory", "enabled")}
    if set(wanted.values()) == {None}:
        raise BadInput("nothing to set", hint="Give --hostname, --memory, --enable or --disable.")
    for name, value in wanted.items():
        if value is not None:
            setattr(host, name, value)


def _remove(arguments: argparse.Namespace) -> None:
    host = Host.get(name=arguments.name)
    refuse_if_used(f"the host {host.name}", [one.machine for one in host.reservations])
    session.delete(host)


GROUP = Group(
    "host",
    "servers that run guests",
    (
        Verb("add", "tell of a host", _add_arguments, _add),
        Verb("list", "show all, with the memory (MiB) reserved on each", nothing, _list),
        Verb("set", "change a host", _set_arguments, _set),
        Verb("remove", "forget a host that runs nothing", name_only, _remove),
    ),
)
