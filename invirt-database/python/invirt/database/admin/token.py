"""Tokens, by which programs do for users at the web server's API: whose there are, and the end of one."""

from __future__ import annotations

from sqlalchemy import text

from invirt.base.cli import Argument, Group, Verb
from invirt.base.errors import NotFound
from invirt.database.admin.verbs import Row, listing
from invirt.database.session import session

LIST = "SELECT principal, name, writes, scoped, machines, ends_at FROM tokens ORDER BY principal, name"
REMOVE = "DELETE FROM api_tokens WHERE principal = :principal AND name = :name RETURNING name"


def _list() -> list[Row]:
    return [
        {
            "principal": one.principal,
            "name": one.name,
            "may": "write" if one.writes else "read",
            "machines": ", ".join(one.machines) if one.scoped else "all",
            "ends_at": one.ends_at.isoformat(timespec="seconds"),
        }
        for one in session.execute(text(LIST))
    ]


def _remove(principal: str, name: str) -> None:
    if session.execute(text(REMOVE), {"principal": principal, "name": name}).first() is None:
        raise NotFound(
            f"{principal} has no token {name}", hint="Those that there are: invirt-admin token list."
        )


GROUP = Group(
    "token",
    "users' tokens for the web server's API, which they make themselves",
    (
        listing("show all that have not ended", _list),
        Verb(
            "remove",
            "end one at once",
            _remove,
            (
                Argument("principal", "whose it is", metavar="PRINCIPAL", sample="alice@EXAMPLE.ORG"),
                Argument("name", "what they call it", metavar="NAME", sample="backup"),
            ),
            changes=True,
        ),
    ),
)
