"""Looks: links by which people see a machine's console for an hour, and type nothing."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from invirt import config
from invirt.base.cli import Found, Group, Option, Table, Verb, Who
from invirt.base.errors import BadInput
from invirt.base.names import MachineName
from invirt.base.validate import count
from invirt.remote import access
from invirt.remote.actor import Actor
from invirt.remote.session import transaction
from invirt.remote.verbs import NAME

GREATEST = 2**63 - 1


def share(actor: Actor, name: MachineName) -> Found:
    """Make a look, whose link nobody can be told again; raises BadInput where there are no pages."""
    if not config.web.hostname:
        raise BadInput("this site has no web server, where a link could lead")
    token = secrets.token_urlsafe(32)
    with transaction() as cursor:
        machine = access.require_owner(cursor, actor.principal, name).machine_id
        asked = (actor.principal, machine, hashlib.sha256(token.encode()).digest(), actor.via)
        cursor.execute("SELECT * FROM add_look(%s, %s, %s, %s)", asked)
        made = cursor.fetchone()
    found = {
        "look": made.look_id,
        "link": f"https://{config.web.hostname}/look/{token}",
        "ends_at": made.ends_at.isoformat(timespec="seconds"),
    }
    return Found(found, shown=_link)


def _link(found: dict[str, Any]) -> str:
    return f"{found['link']}\n"


def show(actor: Actor, name: MachineName) -> list[dict[str, Any]]:
    """Those that have not ended."""
    with transaction() as cursor:
        machine = access.require_owner(cursor, actor.principal, name).machine_id
        cursor.execute("SELECT * FROM looks WHERE machine_id = %s ORDER BY look_id", (machine,))
        return [
            {
                "number": row.look_id,
                "by": row.principal,
                "ends_at": row.ends_at.isoformat(timespec="seconds"),
            }
            for row in cursor.fetchall()
        ]


def end(actor: Actor, name: MachineName, number: int | None) -> str:
    """End one look, or all; raises BadInput where there is no such look."""
    with transaction() as cursor:
        machine = access.require_owner(cursor, actor.principal, name).machine_id
        asked = (actor.principal, machine, number, actor.via)
        cursor.execute("SELECT end_looks(%s, %s, %s, %s) AS ended", asked)
        if not cursor.fetchone().ended:
            which = "no look" if number is None else f"no look {number}"
            raise BadInput(f"{name} is shared by {which}", hint=f"Those there are: machine look list {name}.")
    return f"who looked on at {name} sees no more within ten seconds"


def _number(text: str) -> int:
    return count(text, 1, GREATEST)


GROUP = Group(
    "look",
    "links by which others see a machine's console for an hour, and type nothing",
    (
        Verb("share", "make a link to look on at a machine's console", share, (NAME,), Who.OWNER,
             changes=True),
        Verb("list", "show who shares a machine's console, and until when", show, (NAME,), Who.OWNER,
             shown=Table(empty="Nobody was given a link.")),
        Verb("end", "end a link to a machine's console, or all", end,
             (NAME, Option("number", "that one alone, as the list has it", _number, "NUMBER", sample="7")),
             Who.OWNER, changes=True),
    ),
)  # fmt: skip
