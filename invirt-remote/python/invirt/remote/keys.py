"""A principal's own public keys, which do for a ticket at consoles."""

from __future__ import annotations

from typing import Any

from invirt.base import validate
from invirt.base.cli import Argument, Group, Table, Verb, Who
from invirt.base.errors import BadInput
from invirt.remote.actor import Actor
from invirt.remote.session import transaction


def add(actor: Actor, key: tuple[str, ...]) -> str:
    """Let a key do for the actor's ticket."""
    line = validate.key_line(" ".join(key))
    with transaction() as cursor:
        cursor.execute("SELECT add_public_key(%s, %s, %s)", (actor.principal, line, actor.via))
    return f"{validate.fingerprint(line)} opens the consoles that {actor.principal} may have"


def show(actor: Actor) -> list[dict[str, Any]]:
    """The actor's keys."""
    return [{"type": key.split()[0], "fingerprint": validate.fingerprint(key)} for key in _keys(actor)]


def remove(actor: Actor, fingerprint: str) -> str:
    """Take a key of the actor's back; raises BadInput."""
    for key in _keys(actor):
        if validate.fingerprint(key) == fingerprint:
            with transaction() as cursor:
                cursor.execute("SELECT remove_public_key(%s, %s, %s)", (actor.principal, key, actor.via))
            return f"{fingerprint} opens nothing any more"
    raise BadInput(f"{actor.principal} has no key {fingerprint}", hint="Those there are: machine key list.")


def _keys(actor: Actor) -> list[str]:
    with transaction() as cursor:
        cursor.execute("SELECT key FROM public_keys WHERE principal = %s ORDER BY key", (actor.principal,))
        return [row.key for row in cursor.fetchall()]


KEY = Argument(
    "key", "the line of a .pub file; its comment isn't kept", metavar="KEY", several=True,
    sample="ssh-ed25519 AAAA…",
)  # fmt: skip
FINGERPRINT = Argument("fingerprint", "as `key list` has it", metavar="FINGERPRINT", sample="SHA256:…")
GROUP = Group(
    "key",
    "your public keys, which do for a ticket at consoles",
    (
        Verb("add", "let a key do for your ticket at consoles", add, (KEY,), Who.ANYONE, changes=True),
        Verb("list", "show your keys", show, (), Who.ANYONE, shown=Table(empty="You have no keys here.")),
        Verb(
            "remove",
            "take a key back; its open sessions end",
            remove,
            (FINGERPRINT,),
            Who.ANYONE,
            changes=True,
        ),
    ),
)
