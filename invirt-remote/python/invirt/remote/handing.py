"""Handing a machine over: its owner offers it to another, who accepts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from invirt.base.cli import Table, Verb, Who
from invirt.base.errors import NotFound
from invirt.base.names import MachineName
from invirt.remote import access, quota
from invirt.remote.actor import Actor
from invirt.remote.rows import Cursor
from invirt.remote.session import transaction
from invirt.remote.verbs import NAME

LOCK = "SELECT machine_id FROM machines WHERE name = %s FOR UPDATE"
OFFER = """
INSERT INTO machine_offers (machine_id, name, to_owner, principal)
VALUES (%(machine)s, %(name)s, (SELECT owner_id FROM owners WHERE name = %(name)s), %(who)s)
ON CONFLICT (machine_id) DO UPDATE
    SET name = excluded.name, to_owner = excluded.to_owner, principal = excluded.principal, at = now()
"""
BELONGS = "SELECT FROM owner_access WHERE principal = %s AND role = 'owner' AND owner_id = %s"
# One who owns nothing yet has an owner by accepting.
MINE = """
SELECT machine, memory, to_name, principal, at FROM offers
WHERE to_owner IN (SELECT owner_id FROM owner_access WHERE principal = %(who)s AND role = 'owner')
    OR to_owner IS NULL AND to_name = %(own)s
ORDER BY at DESC LIMIT 100
"""
FOUND = "SELECT to_name, to_owner FROM offers WHERE machine_id = %s"


def offer(actor: Actor, name: MachineName, owner: str) -> str:
    """Offer the machine to an owner, who need not exist yet; to its own: offer it no more.

    It goes there at once if the actor is a member of both.  Raises NotFound, Denied, Busy or NoRoom.
    """
    with transaction() as cursor:
        cursor.execute(LOCK, (name,))
        machine = access.require_owner(cursor, actor.principal, name)
        if owner == machine.owner:
            cursor.execute("DELETE FROM machine_offers WHERE machine_id = %s", (machine.machine_id,))
            return f"{name} stays {owner}'s"
        cursor.execute(OFFER, {"machine": machine.machine_id, "name": owner, "who": actor.principal})
        cursor.execute("SELECT to_owner FROM machine_offers WHERE machine_id = %s", (machine.machine_id,))
        to = cursor.fetchone().to_owner
        cursor.execute(BELONGS, (actor.principal, to))
        if cursor.fetchone() is not None:
            _give(cursor, machine.machine_id, name, to)
            return f"{name} is {owner}'s now"
    return f"{name} is offered to {owner}, and yours until they accept it: machine accept {name}"


def accept(actor: Actor, name: MachineName) -> str:
    """Make it the machine of whom it was offered to, within that one's quota.

    Raises NotFound, Busy or NoRoom.
    """
    with transaction() as cursor:
        machine, owner = _offered(cursor, actor, name)
        _give(cursor, machine, name, quota.lock_owner(cursor, actor.principal, owner))
    return f"{name} is {owner or _own(actor)}'s now; whom its owner before had let in is out"


def decline(actor: Actor, name: MachineName) -> str:
    """End the offer; who made it is told by mail.  Raises NotFound."""
    with transaction() as cursor:
        machine, _ = _offered(cursor, actor, name)
        cursor.execute("SELECT decline_offer(%s, %s)", (machine, actor.principal))
    return f"{name} stays where it is"


def show(actor: Actor) -> list[dict[str, Any]]:
    """What is offered to the actor's owners, the newest first."""
    with transaction() as cursor:
        cursor.execute(MINE, {"who": actor.principal, "own": _own(actor)})
        return [row._asdict() | {"at": row.at.isoformat(timespec="seconds")} for row in cursor.fetchall()]


def offered_to(cursor: Any, machine_id: int) -> str | None:
    """Whom the machine is offered to."""
    cursor.execute(FOUND, (machine_id,))
    row = cursor.fetchone()
    return row.to_name if row else None


def _own(actor: Actor) -> str:
    """The owner that the actor has, or would make; "" for people of other realms."""
    return quota.own_name(actor.principal) or ""


def _offered(cursor: Cursor, actor: Actor, name: MachineName) -> tuple[int, str | None]:
    """The machine, locked, and the owner it is offered to; None: the actor's own, which there may not be yet.

    Raises NotFound for what is offered to others, or nobody.
    """
    cursor.execute(LOCK, (name,))
    machine = cursor.fetchone()
    cursor.execute(FOUND, (machine and machine.machine_id,))
    found = cursor.fetchone()
    if machine and found and _may_take(cursor, actor, found):
        return machine.machine_id, found.to_name if found.to_owner else None
    raise NotFound(f"no machine {name} is offered to you", hint="machine offers shows what is.")


def _may_take(cursor: Cursor, actor: Actor, found: Any) -> bool:
    """Whether the actor may act for whom it is offered to."""
    if found.to_owner is None:
        return bool(found.to_name == _own(actor))
    cursor.execute(
        "SELECT FROM owner_access WHERE principal = %s AND owner_id = %s", (actor.principal, found.to_owner)
    )
    return cursor.fetchone() is not None


def _give(cursor: Cursor, machine_id: int, name: MachineName, owner_id: int) -> None:
    """The database counts it, and ends what the owner before had given to others."""
    from invirt.remote.operations.admission import refuse_if_busy  # not for all who look

    refuse_if_busy(cursor, machine_id, name)
    cursor.execute("UPDATE machines SET owner_id = %s WHERE machine_id = %s", (owner_id, machine_id))


OFFERED_NAME = replace(NAME, help="the machine that is offered")
TABLE = Table(
    {
        "MACHINE": "machine",
        "MEMORY": lambda row: f"{row['memory']} MiB",
        "TO": "to_name",
        "BY": "principal",
        "SINCE": "at",
    },
    empty="Nothing is offered to you.",
)
VERBS = (
    Verb("offers", "machines that their owners would hand over to you", show, (), Who.ANYONE, shown=TABLE),
    Verb("accept", "take over a machine that is offered to you", accept, (OFFERED_NAME,), Who.ANYONE,
         changes=True),
    Verb("decline", "leave a machine that is offered to you where it is", decline, (OFFERED_NAME,),
         Who.ANYONE, changes=True),
)  # fmt: skip
