"""Machines of one owner that are not to be on one host; the database holds to it (see check_apart there)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from invirt.base.cli import Verb, Who
from invirt.base.errors import BadInput
from invirt.base.names import MachineName
from invirt.remote import access
from invirt.remote.actor import Actor
from invirt.remote.session import transaction
from invirt.remote.verbs import NAME

BARRED = """
SELECT DISTINCT r.host_id FROM kept_apart k JOIN reservations r ON r.machine_id = k.other_id
WHERE k.machine_id = %s
"""
NAMES = """
SELECT m.name FROM kept_apart k JOIN machines m ON m.machine_id = k.other_id WHERE k.machine_id = %s
ORDER BY 1
"""


def barred(cursor: Any, machine_id: int | None) -> dict[int, str]:
    """Why the machine can't be on some hosts, by host_id.

    No other is named: who is let in to one machine need not know of its owner's others.
    """
    cursor.execute(BARRED, (machine_id,))
    return {row.host_id: "runs a machine that it is kept apart from" for row in cursor.fetchall()}


def names(cursor: Any, machine_id: int) -> list[MachineName]:
    """From which others it is kept apart."""
    cursor.execute(NAMES, (machine_id,))
    return [row.name for row in cursor.fetchall()]


def apart(actor: Actor, name: MachineName, other: MachineName) -> str:
    """Keep two machines of one owner off one host, from the next boot or move on."""
    with transaction() as cursor:
        one, two = _pair(cursor, actor, name, other)
        if one.owner != two.owner:
            raise BadInput(
                f"{name} is of {one.owner}, {other} of {two.owner}: two of one owner are kept apart"
            )
        cursor.execute(
            "INSERT INTO apart SELECT %s, %s, owner_id FROM machines WHERE machine_id = %s"
            " ON CONFLICT DO NOTHING",
            (*sorted((one.machine_id, two.machine_id)), one.machine_id),
        )
        same = set(barred(cursor, one.machine_id)) & _homes(cursor, one.machine_id)
    now = "; they are on one now, until one of them is booted anew" if same else ""
    return f"{name} and {other} are kept on different hosts{now}"


def together(actor: Actor, name: MachineName, other: MachineName) -> str:
    """Let two machines be on one host again."""
    with transaction() as cursor:
        one, two = _pair(cursor, actor, name, other)
        cursor.execute(
            "DELETE FROM apart WHERE machine_id = %s AND other_id = %s",
            sorted((one.machine_id, two.machine_id)),
        )
        if cursor.rowcount == 0:
            kept = ", ".join(names(cursor, one.machine_id)) or "none"
            raise BadInput(f"{name} is not kept apart from {other}", hint=f"It is from: {kept}.")
    return f"{name} and {other} may be on one host"


def _pair(cursor: Any, actor: Actor, name: MachineName, other: MachineName) -> tuple[Any, Any]:
    """Both rows; raises NotFound, Denied, or BadInput if it is one machine."""
    one, two = (access.require_owner(cursor, actor.principal, each) for each in (name, other))
    if one.machine_id == two.machine_id:
        raise BadInput("that is one machine", hint="Name two.")
    return one, two


def _homes(cursor: Any, machine_id: int) -> set[int]:
    cursor.execute("SELECT host_id FROM reservations WHERE machine_id = %s", (machine_id,))
    return {row.host_id for row in cursor.fetchall()}


OTHER = replace(NAME, name="other", help="another machine of its owner", metavar="OTHER", sample="romulus")
VERBS = (
    Verb("apart", "keep two machines of one owner on different hosts", apart, (NAME, OTHER), who=Who.OWNER,
         changes=True),
    Verb("together", "let two machines be on one host again", together, (NAME, OTHER), who=Who.OWNER,
         changes=True),
)  # fmt: skip
