"""A principal's own tokens, which do for a ticket at the web server's API."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from invirt.base import validate
from invirt.base.cli import Argument, Flag, Found, Group, Option, Table, Verb, Who
from invirt.base.errors import BadInput
from invirt.base.names import MachineName
from invirt.remote import access
from invirt.remote.actor import Actor
from invirt.remote.session import transaction

PREFIX = "invirt_"  # by which people, and programs that look for what has leaked, know one
DAYS = 30  # that one lasts, where nothing is said
MOST_DAYS = 366


def add(actor: Actor, name: str, machine: tuple[MachineName, ...], write: bool, days: int | None) -> Found:
    """Make a token, which nobody can be told again."""
    token, lasts = PREFIX + secrets.token_urlsafe(32), days or DAYS
    digest = hashlib.sha256(token.encode()).digest()
    with transaction() as cursor:
        numbers = [access.require(cursor, actor.principal, one).machine_id for one in machine]
        cursor.execute(
            "SELECT add_token(%s, %s, %s, %s, %s, %s, %s)",
            (actor.principal, name, digest, write, numbers or None, lasts, actor.via),
        )
    return Found({"name": name, "token": token, "days": lasts}, shown=_token)


def _token(found: dict[str, Any]) -> str:
    return f"{found['token']}\n"


def show(actor: Actor) -> list[dict[str, Any]]:
    """The actor's tokens."""
    with transaction() as cursor:
        cursor.execute("SELECT * FROM tokens WHERE principal = %s ORDER BY name", (actor.principal,))
        return [
            {
                "name": row.name,
                "may": "write" if row.writes else "read",
                "machines": row.machines if row.scoped else None,
                "created_at": row.created_at.isoformat(timespec="seconds"),
                "ends_at": row.ends_at.isoformat(timespec="seconds"),
            }
            for row in cursor.fetchall()
        ]


def remove(actor: Actor, name: str) -> str:
    """End a token of the actor's; raises BadInput."""
    with transaction() as cursor:
        cursor.execute("SELECT remove_token(%s, %s, %s) AS gone", (actor.principal, name, actor.via))
        if cursor.fetchone().gone is None:
            raise BadInput(
                f"{actor.principal} has no token {name}", hint="Those there are: machine token list."
            )
    return f"{name} opens nothing any more"


def _days(text: str) -> int:
    return validate.count(text, 1, MOST_DAYS)


def _machines(row: dict[str, Any]) -> str:
    return "all" if row["machines"] is None else ", ".join(row["machines"]) or "none any more"


NAME = Argument("name", "what you call it", validate.token_name, "NAME", sample="backup")
MACHINE = Option(
    "machine", "a machine that it is for; without, for all that are yours", validate.machine_name, "MACHINE",
    several=True, sample="remus",
)  # fmt: skip
WRITE = Flag("write", "it may change things, too")
LASTS = Option(
    "days", f"when it ends, at most {MOST_DAYS} days on; without, {DAYS}", _days, "DAYS", sample="90"
)
GROUP = Group(
    "token",
    "your tokens, by which programs do for you at the web server's API",
    (
        Verb("add", "make a token, which is shown this once", add, (NAME, MACHINE, WRITE, LASTS), Who.ANYONE,
             changes=True, example="backup --days 90"),
        Verb("list", "show your tokens", show, (), Who.ANYONE, shown=Table(
            {"name": "name", "may": "may", "machines": _machines, "ends at": "ends_at"},
            empty="You have no tokens.",
        )),
        Verb("remove", "end a token at once", remove, (NAME,), Who.ANYONE, changes=True),
    ),
)  # fmt: skip
