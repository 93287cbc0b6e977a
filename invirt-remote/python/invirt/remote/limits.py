"""What a machine may take of its host while it runs: seen and set by its owner, bounded by the site."""

from __future__ import annotations

from typing import Any

from invirt.base import validate
from invirt.base.cli import Argument, Option, Table, Verb, Who
from invirt.base.errors import BadInput, NotFound
from invirt.base.names import MachineName
from invirt.remote import access
from invirt.remote.actor import Actor
from invirt.remote.rows import Cursor
from invirt.remote.session import transaction
from invirt.remote.verbs import NAME

SITE = "@site"  # no owner's name
MOST = 1_000_000
# What can be limited, and how much is how much.
RESOURCES = {
    "cap": "% of a CPU, of all its CPUs together",
    "weight": "its share of CPUs that others want, too; 100 is usual",
    "disk": "MiB a second, read and written, of all its disks",
    "operations": "of all its disks, a second",
    "download": "Mbit a second, of each network card",
    "upload": "Mbit a second, of each network card",
}
SHOW = "SELECT resource, amount, own, standard, most FROM limits WHERE machine_id = %s"
SET = """
INSERT INTO machine_limits (machine_id, resource, amount) VALUES (%s, %s, %s)
ON CONFLICT (machine_id, resource) DO UPDATE SET amount = excluded.amount
"""
UNSET = "DELETE FROM machine_limits WHERE machine_id = %s AND resource = %s"
BOUNDS = """
SELECT coalesce(o.name, '@site') AS owner, l.resource, l.standard, l.most
FROM owner_limits l LEFT JOIN owners o USING (owner_id) ORDER BY o.name NULLS FIRST, l.resource
"""
BOUND = """
INSERT INTO owner_limits (owner_id, resource, standard, most)
VALUES (%(owner)s, %(resource)s, %(standard)s, %(most)s)
ON CONFLICT ON CONSTRAINT owner_limits_key DO UPDATE SET standard = excluded.standard, most = excluded.most
RETURNING limit_id
"""
BEFORE = "SELECT standard, most FROM owner_limits WHERE owner_id IS NOT DISTINCT FROM %s AND resource = %s"
FORGET = "DELETE FROM owner_limits WHERE standard IS NULL AND most IS NULL"


def show(actor: Actor, name: MachineName) -> list[dict[str, Any]]:
    """What the machine is held to, and what its owner may hold it to.  Raises NotFound."""
    with transaction() as cursor:
        machine = access.require(cursor, actor.principal, name)
        cursor.execute(SHOW, (machine.machine_id,))
        found = {row.resource: row._asdict() for row in cursor.fetchall()}
    return [{**found[resource], "what": about} for resource, about in RESOURCES.items()]


def limit(actor: Actor, name: MachineName, **amounts: int | None) -> str:
    """Hold the machine to so much, from now on; 0: to what its owner's are by default.

    Raises NotFound, Denied, or BadInput for more than the site allows.
    """
    wanted = {resource: amount for resource, amount in amounts.items() if amount is not None}
    if not wanted:
        raise BadInput("nothing is said", hint="Give --cap, --disk, --download or another.")
    with transaction() as cursor:
        machine = access.require_owner(cursor, actor.principal, name)
        cursor.execute(SHOW, (machine.machine_id,))
        most = {row.resource: row.most for row in cursor.fetchall()}
        for resource, amount in wanted.items():
            if amount and most[resource] is not None and amount > most[resource]:
                raise BadInput(f"{resource} can't be more than {most[resource]} here ({RESOURCES[resource]})")
            given = (machine.machine_id, resource)
            cursor.execute(SET if amount else UNSET, (*given, amount) if amount else given)
    return f"{name} is held to that, if it runs within seconds"


def bounds() -> list[dict[str, Any]]:
    """All defaults and ceilings."""
    with transaction() as cursor:
        cursor.execute(BOUNDS)
        return [row._asdict() for row in cursor.fetchall()]


def bound(actor: Actor, owner: str, resource: str, standard: int | None, most: int | None) -> str:
    """Say what each machine of an owner, or the site, is held to by default, and at most; 0: to nothing."""
    if standard is None and most is None:
        raise BadInput("nothing is said", hint="Give --default, --most, or both.")
    with transaction() as cursor:
        number = _owner(cursor, owner)
        cursor.execute(BEFORE, (number, resource))
        before = cursor.fetchone()
        values = {
            "standard": (before and before.standard) if standard is None else standard or None,
            "most": (before and before.most) if most is None else most or None,
        }
        cursor.execute(BOUND, {"owner": number, "resource": resource, **values})
        cursor.execute(FORGET)
    usual, greatest = values["standard"] or "none", values["most"] or "any"
    return f"{resource} of {owner}'s machines: {usual} by default, at most {greatest}"


def _owner(cursor: Cursor, name: str) -> int | None:
    if name == SITE:
        return None
    cursor.execute("SELECT owner_id FROM owners WHERE name = %s", (name,))
    row = cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no owner {name}", hint="admin owner list shows all; @site is the site.")
    return int(row.owner_id)


def _amount(text: str) -> int:
    return validate.count(text, 0, MOST)


def _whose(text: str) -> str:
    return text if text == SITE else validate.owner_name(text)


def _shown(amount: int | None) -> str:
    return "" if amount is None else str(amount)


VERBS = (
    Verb(
        "limits", "what a machine may take of its host while it runs", show, (NAME,), Who.USER,
        shown=Table({
            "WHAT": "resource",
            "NOW": lambda row: _shown(row["amount"]) or "no limit",
            "SET": lambda row: _shown(row["own"]),
            "DEFAULT": lambda row: _shown(row["standard"]),
            "AT MOST": lambda row: _shown(row["most"]),
            "OF": "what",
        }),
    ),
    Verb(
        "limit", "hold a machine to so much of its host, while it runs, too; 0: as by default", limit,
        (NAME, *(Option(name, about, _amount, "N", sample="50") for name, about in RESOURCES.items())),
        Who.OWNER, changes=True, example="remus --cap 50 --download 100",
    ),
)  # fmt: skip
BOUNDING = (
    Verb("list", "what machines are held to by default, and at most", bounds, (), Who.SITE,
         shown=Table({"OWNER": "owner", "WHAT": "resource", "DEFAULT": lambda row: _shown(row["standard"]),
                      "AT MOST": lambda row: _shown(row["most"])}, empty="Nothing is limited.")),
    Verb("set", "say what each machine of an owner is held to by default, and at most", bound,
         (
             Argument("owner", "an owner; @site: of all the site's", _whose, "OWNER", sample="@site"),
             Argument("resource", "what is limited", choices=tuple(RESOURCES), sample="disk"),
             Option("standard", "for a machine that is held to nothing of its own; 0: none", _amount, "N",
                    spelled="--default", sample="100"),
             Option("most", "whatever a machine is held to; 0: any", _amount, "N", sample="200"),
         ),
         Who.SITE, changes=True, example="@site disk --default 100 --most 200"),
)  # fmt: skip
