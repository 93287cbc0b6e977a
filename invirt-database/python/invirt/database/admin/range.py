"""Ranges of addresses that machines are given."""

from __future__ import annotations

import argparse

from sqlalchemy import func, select

from invirt.database.admin.verbs import Group, Parser, Row, Verb, nothing, whole
from invirt.database.models import AddressRange, Nic
from invirt.database.session import session


def _ends(parser: Parser) -> None:
    parser.add_argument("first", help="IPv4 address")
    parser.add_argument("last", help="IPv4 address")


def _add_arguments(parser: Parser) -> None:
    _ends(parser)
    parser.add_argument("--prefix", required=True, type=whole, help="length of the guests' netmask, e.g. 24")
    parser.add_argument("--gateway", required=True, help="the guests' router")


def _add(arguments: argparse.Namespace) -> None:
    ends = {"first": arguments.first, "last": arguments.last}
    session.add(AddressRange(**ends, prefix=arguments.prefix, gateway=arguments.gateway))


def _list(arguments: argparse.Namespace) -> list[Row]:
    return [
        {
            "first": found.first,
            "last": found.last,
            "prefix": found.prefix,
            "gateway": found.gateway,
            "used": session.scalar(
                select(func.count()).select_from(Nic).where(Nic.ip.between(found.first, found.last))
            ),
        }
        for found in AddressRange.find()
    ]


def _remove(arguments: argparse.Namespace) -> None:
    session.delete(AddressRange.get(first=arguments.first, last=arguments.last))


GROUP = Group(
    "range",
    "addresses that machines are given",
    (
        Verb("add", "add the addresses from FIRST to LAST", _add_arguments, _add),
        Verb("list", "show all, with how many are used", nothing, _list),
        Verb("remove", "remove a range of which none is used", _ends, _remove),
    ),
)
