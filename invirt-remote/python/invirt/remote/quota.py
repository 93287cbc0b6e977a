"""Whose machine it is: owners.

That nobody gets more than the quota is a rule of the database itself, checked
in the transaction that admits an operation.
"""

from __future__ import annotations

from invirt import config
from invirt.base import validate
from invirt.base.errors import BadInput, Denied
from invirt.remote.rows import Cursor


def lock_owner(cursor: Cursor, principal: str, name: str | None) -> int:
    """The number of the owner for a new machine, locked until the transaction's end.

    name: an owner that principal is a member of, or may act for; None: principal's own, made
    now if there is none.  Raises Denied.
    """
    owner = name or _own(cursor, principal)
    cursor.execute(
        "SELECT owner_id,"
        " EXISTS (SELECT FROM owner_access a WHERE a.owner_id = o.owner_id AND a.principal = %s) AS may"
        " FROM owners o WHERE name = %s FOR NO KEY UPDATE",
        (principal, owner),
    )
    row = cursor.fetchone()
    if not row or not row.may:
        raise Denied(
            f"{principal} is not a member of an owner called {owner}",
            hint=f"Name one that you are a member of, or ask {config.site.contact}.",
        )
    return int(row.owner_id)


def own_name(principal: str) -> str | None:
    """What principal's own owner is called, or would be; None for people of other realms."""
    name, _, realm = principal.rpartition("@")
    return name if realm == config.site.realm else None


def _own(cursor: Cursor, principal: str) -> str:
    """The name of principal's own owner, which is made if there is none of that name yet."""
    name = own_name(principal)
    if name is None:
        raise Denied(
            f"{principal} is of another realm and owns nothing here",
            hint=f"Name an owner that you are a member of, or ask {config.site.contact} for one.",
        )
    try:
        validate.person(principal)
        validate.owner_name(name)
    except BadInput as error:
        raise Denied(f"{name} can't be an owner's name", hint=error.hint) from error
    number = make_owner(cursor, name, principal)
    if number is not None:
        cursor.execute("INSERT INTO members (owner_id, principal) VALUES (%s, %s)", (number, principal))
    return name


def make_owner(cursor: Cursor, name: str, maker: str) -> int | None:
    """The number of a new owner, with the quotas of invirt.yaml; None if there is one of that name."""
    quota = config.quota
    cursor.execute(
        "INSERT INTO owners (name, memory, disk, machines, made_by) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (name) DO NOTHING RETURNING owner_id",
        (name, quota.memory, quota.disk, quota.machines, maker),
    )
    made = cursor.fetchone()
    for resource in ("running", "cpus", "addresses") if made else ():
        if amount := getattr(quota, resource):
            cursor.execute(
                "INSERT INTO quotas (owner_id, resource, amount) VALUES (%s, %s, %s)",
                (made.owner_id, resource, amount),
            )
    return int(made.owner_id) if made else None
