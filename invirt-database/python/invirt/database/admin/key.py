"""Public keys of principals, for sites and people without Kerberos: they open consoles."""

from __future__ import annotations

import argparse
import base64
import hashlib

from invirt.base import validate
from invirt.base.errors import NotFound
from invirt.database.admin.verbs import Group, Parser, Row, Verb, nothing
from invirt.database.models import PublicKey
from invirt.database.session import session


def _fingerprint(key: PublicKey) -> str:
    """As `ssh-keygen -l` shows it."""
    digest = hashlib.sha256(base64.b64decode(key.key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("principal", help="whose key it is, e.g. alice@EXAMPLE.ORG")
    parser.add_argument("key", nargs="+", help="the line of a .pub file; its comment isn't kept")


def _add(arguments: argparse.Namespace) -> None:
    key = validate.key_line(" ".join(arguments.key))
    session.add(PublicKey(principal=validate.person(arguments.principal), key=key))


def _list(arguments: argparse.Namespace) -> list[Row]:
    return [
        {"principal": key.principal, "type": key.key.split()[0], "fingerprint": _fingerprint(key)}
        for key in PublicKey.find()
    ]


def _remove_arguments(parser: Parser) -> None:
    parser.add_argument("principal")
    parser.add_argument("fingerprint", help="which of their keys: see `key list`")


def _remove(arguments: argparse.Namespace) -> None:
    theirs = PublicKey.find(principal=arguments.principal)
    found = [key for key in theirs if _fingerprint(key) == arguments.fingerprint]
    if not found:
        raise NotFound(
            f"{arguments.principal} has no key {arguments.fingerprint}",
            hint="Those that there are: invirt-admin key list.",
        )
    session.delete(found[0])


GROUP = Group(
    "key",
    "public keys by which principals come to consoles without a ticket",
    (
        Verb("add", "let a key do for a principal's ticket", _add_arguments, _add),
        Verb("list", "show all", nothing, _list),
        Verb("remove", "take a key back; open sessions end", _remove_arguments, _remove),
    ),
)
