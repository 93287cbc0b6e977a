"""Records in DNS beside those of machines: mail exchangers, the servers' own names …"""

from __future__ import annotations

import argparse

from sqlalchemy import text

from invirt.base.errors import NotFound
from invirt.database.admin.verbs import Group, Parser, Row, Verb, nothing
from invirt.database.session import session

_ADD = "INSERT INTO dns.extra_records (name, type, content) VALUES (:name, :type, :content)"
_REMOVE = "DELETE FROM dns.extra_records WHERE name = :name AND type = :type AND content = :content"
_LIST = "SELECT name, type, content FROM dns.extra_records ORDER BY name, type, content"


def _record(parser: Parser) -> None:
    parser.add_argument("name", help="with its domain")
    parser.add_argument("type", help="A, AAAA, MX, TXT …")
    parser.add_argument("content", help='as in a zone file: "10 mail.example.org"')


def _values(arguments: argparse.Namespace) -> dict[str, str]:
    return {name: getattr(arguments, name) for name in ("name", "type", "content")}


def _add(arguments: argparse.Namespace) -> None:
    session.execute(text(_ADD), _values(arguments))


def _remove(arguments: argparse.Namespace) -> None:
    found = session.execute(text(f"{_REMOVE} RETURNING 1"), _values(arguments)).first()
    if not found:
        raise NotFound("there is no such record", hint="Those that are: invirt-admin record list.")


def _list(arguments: argparse.Namespace) -> list[Row]:
    return [dict(row._mapping) for row in session.execute(text(_LIST))]


GROUP = Group(
    "record",
    "records in DNS beside those of machines",
    (
        Verb("add", "add one", _record, _add),
        Verb("list", "show all", nothing, _list),
        Verb("remove", "remove one", _record, _remove),
    ),
)
