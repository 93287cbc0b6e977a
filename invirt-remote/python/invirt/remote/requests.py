"""Quotas: seeing them, asking for larger ones, and what administrators of the site say to that."""

from __future__ import annotations

from typing import Any

from invirt.base import validate
from invirt.base.cli import Argument, Group, Option, Table, Verb, Who
from invirt.base.errors import BadInput, NotFound
from invirt.remote import listing, quota
from invirt.remote.actor import Actor
from invirt.remote.session import transaction

LARGEST = 2**31 - 1
# The newest word counts.
ASK = """
INSERT INTO quota_requests (owner_id, principal, resource, amount, why) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (owner_id, resource) WHERE state = 'open'
    DO UPDATE SET amount = excluded.amount, why = excluded.why, principal = excluded.principal, at = now()
RETURNING request_id
"""
LIST = """
SELECT q.request_id, o.name AS owner, q.resource, q.amount, q.principal::text AS principal,
    q.why::text AS why, q.state, q.answer::text AS answer, q.at
FROM quota_requests q JOIN owners o USING (owner_id)
"""
MINE = f"""{LIST} WHERE owner_id IN
    (SELECT owner_id FROM owner_access WHERE principal = %s AND role = 'owner')
ORDER BY request_id DESC LIMIT 50"""
OPEN = f"{LIST} WHERE state = 'open' ORDER BY request_id"
DECIDE = """
UPDATE quota_requests SET state = %s, decided_by = %s, decided_at = now(), answer = %s
WHERE request_id = %s AND state = 'open' RETURNING owner_id, resource, amount
"""
GRANT = """
INSERT INTO quotas (owner_id, resource, amount) VALUES (%s, %s, %s)
ON CONFLICT ON CONSTRAINT quotas_key DO UPDATE SET amount = excluded.amount
"""


def ask(actor: Actor, owner: str | None, why: str | None, **amounts: int | None) -> str:
    """Ask for quotas of so much, for an owner of the actor's.  Raises Denied or BadInput."""
    wanted = {resource: amount for resource, amount in amounts.items() if amount is not None}
    if not wanted:
        raise BadInput("nothing is asked for", hint="Give --memory, --disk, --machines or another.")
    with transaction() as cursor:
        number = quota.lock_owner(cursor, actor.principal, owner)
        for resource, amount in wanted.items():
            cursor.execute(ASK, (number, actor.principal, resource, amount, why or ""))
    return "an administrator grants or refuses it: machine quota asked"


def asked(actor: Actor) -> list[dict[str, Any]]:
    """What was asked for the actor's owners, and what was said to it, the newest first."""
    with transaction() as cursor:
        cursor.execute(MINE, (actor.principal,))
        return _records(cursor.fetchall())


def waiting(actor: Actor) -> list[dict[str, Any]]:
    """What nobody has answered yet, the oldest first."""
    with transaction() as cursor:
        cursor.execute(OPEN)
        return _records(cursor.fetchall())


def grant(actor: Actor, number: int) -> str:
    """Make it the quota, from now on.  Raises NotFound."""
    with transaction() as cursor:
        cursor.execute(DECIDE, ("granted", actor.principal, "", number))
        found = cursor.fetchone()
        if found is None:
            raise _absent(number)
        cursor.execute(GRANT, (found.owner_id, found.resource, found.amount))
    return f"request {number} is granted"


def refuse(actor: Actor, number: int, why: str | None) -> str:
    """Leave the quota as it is.  Raises NotFound."""
    with transaction() as cursor:
        cursor.execute(DECIDE, ("refused", actor.principal, why or "", number))
        if cursor.fetchone() is None:
            raise _absent(number)
    return f"request {number} is refused"


def _absent(number: int) -> NotFound:
    return NotFound(f"no request {number} is open", hint="admin quota requests shows which are.")


def _records(rows: list[Any]) -> list[dict[str, Any]]:
    return [row._asdict() | {"at": row.at.isoformat(timespec="seconds")} for row in rows]


def _memory(text: str) -> int:
    return validate.mebibytes(text, 0, LARGEST)


def _disk(text: str) -> int:
    return validate.gibibytes(text, 0, LARGEST)


def _whole(text: str) -> int:
    return validate.count(text, 0, LARGEST)


TABLE = Table(
    {
        "NUMBER": "request_id",
        "OWNER": "owner",
        "WHAT": "resource",
        "AMOUNT": "amount",
        "BY": "principal",
        "WHY": "why",
        "STATE": lambda row: ": ".join(filter(None, (row["state"], row["answer"]))),
    },
    empty="Nothing is asked for.",
)
WHY = Option("why", "a line about it", validate.description, "TEXT")
NUMBER = Argument("number", "of the request", _whole, "NUMBER", sample="7")
SHOW = Verb(
    "show", "what an owner uses and may use", listing.quota, (listing.OWNER,), Who.ANYONE,
    shown=listing.QUOTAS,
)  # fmt: skip
VERBS = (
    SHOW,
    Verb(
        "ask", "ask the site's administrators for a larger quota", ask,
        (
            Option("memory", "of all machines together", _memory, "SIZE", unit="MiB", sample="16G"),
            Option("disk", "of all machines together", _disk, "SIZE", unit="GiB", sample="100G"),
            Option("machines", "how many", _whole, "N", sample="10"),
            Option("running", "how many at once", _whole, "N", sample="5"),
            Option("cpus", "of all machines together", _whole, "N", sample="8"),
            Option("addresses", "IPv4, of all machines together", _whole, "N", sample="10"),
            Option("owner", "whose; by default your own", validate.owner_name, "OWNER"),
            WHY,
        ),
        who=Who.ANYONE, changes=True, example='--memory 16G --why "a course"',
    ),
    Verb("asked", "what larger quotas were asked for, and what was said to it", asked, (), Who.ANYONE,
         shown=TABLE),
)  # fmt: skip
GROUP = Group("quota", "what your owners use and may use", VERBS, bare=SHOW.name)
DECIDING = (
    Verb("requests", "what larger quotas are asked for", waiting, (), Who.SITE, shown=TABLE),
    Verb("grant", "make what was asked for the quota", grant, (NUMBER,), Who.SITE, changes=True),
    Verb("refuse", "leave a quota as it is, and say why", refuse, (NUMBER, WHY), Who.SITE, changes=True),
)
