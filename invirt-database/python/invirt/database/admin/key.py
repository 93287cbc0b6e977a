"""Public keys of principals, for sites and people without Kerberos: they open consoles."""

from __future__ import annotations

from dataclasses import replace

from invirt.base import validate
from invirt.base.cli import Argument, Group, Verb
from invirt.base.errors import NotFound
from invirt.database.admin.verbs import Row, listing
from invirt.database.models import PublicKey
from invirt.database.session import session


def _add(principal: str, key: tuple[str, ...]) -> None:
    session.add(PublicKey(principal=principal, key=validate.key_line(" ".join(key))))


def _list() -> list[Row]:
    return [
        {"principal": key.principal, "type": key.key.split()[0], "fingerprint": validate.fingerprint(key.key)}
        for key in PublicKey.find()
    ]


def _remove(principal: str, fingerprint: str) -> None:
    theirs = PublicKey.find(principal=principal)
    found = [key for key in theirs if validate.fingerprint(key.key) == fingerprint]
    if not found:
        raise NotFound(
            f"{principal} has no key {fingerprint}",
            hint="Those that there are: invirt-admin key list.",
        )
    session.delete(found[0])


PRINCIPAL = Argument("principal", "whose key it is", metavar="PRINCIPAL", sample="alice@EXAMPLE.ORG")
PERSON = replace(PRINCIPAL, type=validate.person)
KEY = Argument(
    "key",
    "the line of a .pub file; its comment isn't kept",
    metavar="KEY",
    several=True,
    sample="ssh-ed25519 AAAA…",
)
FINGERPRINT = Argument(
    "fingerprint", "which of their keys: see `key list`", metavar="FINGERPRINT", sample="SHA256:…"
)
GROUP = Group(
    "key",
    "public keys by which principals come to consoles without a ticket",
    (
        Verb("add", "let a key do for a principal's ticket", _add, (PERSON, KEY), changes=True),
        listing("show all keys", _list),
        Verb("remove", "take a key back; open sessions end", _remove, (PRINCIPAL, FINGERPRINT), changes=True),
    ),
)
