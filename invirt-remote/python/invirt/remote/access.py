"""Who may do what to a machine: the one place that asks.

Whoever is a member of the machine's owner may do anything to it.  Whom a
member has allowed may control it and see it.  "No such machine" and "not
yours" are one and the same message.
"""

from __future__ import annotations

from typing import Any

from invirt import config
from invirt.base import validate
from invirt.base.errors import BadInput, Denied, NotFound

# One row a machine, with what `list` and `show` need; a principal's rights beside it.
MACHINE = """
SELECT m.machine_id, m.name, m.memory, m.cpus, m.description, m.created_at, m.autostart, m.why_off,
    o.name AS owner, t.name AS type, h.name AS host, h.hostname,
    EXISTS (SELECT FROM members x WHERE x.owner_id = m.owner_id AND x.principal = %(who)s) AS is_owner,
    EXISTS (SELECT FROM machine_access x WHERE x.machine_id = m.machine_id AND x.principal = %(who)s)
        AS is_allowed
FROM machines m JOIN owners o USING (owner_id) JOIN types t USING (type_id) LEFT JOIN hosts h USING (host_id)
"""
MINE = """
WHERE m.owner_id IN (SELECT owner_id FROM members WHERE principal = %(who)s)
   OR m.machine_id IN (SELECT machine_id FROM machine_access WHERE principal = %(who)s)
"""


def web_principal() -> str | None:
    """Whom `web` commands are taken from; None if the site has no web server."""
    return f"host/{config.web.hostname}@{config.site.realm}" if config.web.hostname else None


def full_principal(text: str) -> str:
    """A person's principal as users write it: bob is bob@ the site's realm.  Raises BadInput."""
    return validate.person(text if "@" in text else f"{text}@{config.site.realm}")


def find(cursor: Any, machine_name: str, principal: str = "") -> Any:
    """The machine's row, with is_owner and is_allowed for principal; raises NotFound."""
    cursor.execute(f"{MACHINE} WHERE m.name = %(name)s", {"name": machine_name, "who": principal})
    row = cursor.fetchone()
    if row is None:
        raise _absent(machine_name)
    return row


def require_number(cursor: Any, principal: str, machine_id: int | None) -> Any:
    """require() by the machine's number; raises NotFound, which can't tell its name."""
    cursor.execute(f"{MACHINE} WHERE m.machine_id = %(id)s", {"id": machine_id, "who": principal})
    row = cursor.fetchone()
    if row is None or not (row.is_owner or row.is_allowed):
        raise NotFound("it is gone, or not yours any more", hint="machine list shows what is yours.")
    return row


def require(cursor: Any, principal: str, machine_name: str) -> Any:
    """The machine's row if principal may control it; raises NotFound."""
    row = find(cursor, machine_name, principal)
    if not (row.is_owner or row.is_allowed):
        raise _absent(machine_name)
    return row


def require_owner(cursor: Any, principal: str, machine_name: str) -> Any:
    """The machine's row if principal is a member of its owner; raises NotFound or Denied."""
    row = require(cursor, principal, machine_name)
    if not row.is_owner:
        raise Denied(
            f"only its owner, {row.owner}, may do this to {machine_name}",
            hint="You may control it and see it: control NAME …, machine show NAME.",
        )
    return row


def mine(cursor: Any, principal: str) -> list[Any]:
    """The rows of all machines that principal may control, by name."""
    cursor.execute(f"{MACHINE} {MINE} ORDER BY m.name", {"who": principal})
    rows: list[Any] = cursor.fetchall()
    return rows


def everyones(cursor: Any) -> list[Any]:
    """The rows of all machines, by name."""
    cursor.execute(f"{MACHINE} ORDER BY m.name", {"who": ""})
    rows: list[Any] = cursor.fetchall()
    return rows


def acl(cursor: Any, machine_id: int) -> list[str]:
    """All principals who may control the machine of that number, sorted."""
    cursor.execute(
        "SELECT principal FROM machine_access WHERE machine_id = %(id)s UNION"
        " SELECT principal FROM members JOIN machines USING (owner_id) WHERE machine_id = %(id)s ORDER BY 1",
        {"id": machine_id},
    )
    return [found.principal for found in cursor.fetchall()]


def allow(cursor: Any, actor: str, machine_name: str, principal: str) -> None:
    """Let principal control the machine; allowed already is well.  Raises NotFound or Denied."""
    row = require_owner(cursor, actor, machine_name)
    cursor.execute(
        "INSERT INTO machine_access (machine_id, principal) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (row.machine_id, principal),
    )


def disallow(cursor: Any, actor: str, machine_name: str, principal: str) -> None:
    """Take back what allow() gave.  Raises NotFound, Denied, or BadInput if principal has nothing to lose."""
    row = require_owner(cursor, actor, machine_name)
    cursor.execute(
        "DELETE FROM machine_access WHERE machine_id = %s AND principal = %s", (row.machine_id, principal)
    )
    if cursor.rowcount == 0:
        hint = f"Who may: {', '.join(acl(cursor, row.machine_id))}."
        raise BadInput(f"{principal} has not been allowed to control {machine_name}", hint=hint)


def _absent(machine_name: str) -> NotFound:
    return NotFound(
        f"there is no machine {machine_name} that you may use",
        hint="machine list shows yours; its owner can let you in: machine allow NAME PRINCIPAL.",
    )


def no_owner(name: str) -> NotFound:
    """For an owner that isn't there, or that the principal isn't a member of."""
    return NotFound(f"there is no owner {name} that you are a member of", hint="machine quota shows yours.")
