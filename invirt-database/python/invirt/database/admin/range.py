"""Ranges of addresses that machines are given."""

from __future__ import annotations

from sqlalchemy import func, select

from invirt.base.cli import Argument, Group, Option, Verb
from invirt.database.admin.verbs import Row, listing, whole
from invirt.database.models import AddressRange, Nic
from invirt.database.session import session


def _add(first: str, last: str, prefix: int, gateway: str) -> None:
    session.add(AddressRange(first=first, last=last, prefix=prefix, gateway=gateway))


def _list() -> list[Row]:
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


def _remove(first: str, last: str) -> None:
    session.delete(AddressRange.get(first=first, last=last))


ENDS = (
    Argument("first", "the lowest IPv4 address", metavar="FIRST", sample="192.0.2.10"),
    Argument("last", "the highest IPv4 address", metavar="LAST", sample="192.0.2.250"),
)
NET = (
    Option("prefix", "length of the guests' netmask", whole, "N", required=True, sample="24"),
    Option("gateway", "the guests' router", metavar="ADDRESS", required=True, sample="192.0.2.1"),
)
GROUP = Group(
    "range",
    "addresses that machines are given",
    (
        Verb("add", "add the addresses from FIRST to LAST", _add, (*ENDS, *NET), changes=True),
        listing("show all, with how many are used", _list),
        Verb("remove", "remove a range of which none is used", _remove, ENDS, changes=True),
    ),
)
