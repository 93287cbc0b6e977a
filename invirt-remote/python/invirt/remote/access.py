"""Who may do what to a machine: the one place that asks.

The database's view `access` says who: the members of the machine's owner and
the site's administrators may do anything to it; whom one of them has allowed
may control it and see it.  "No such machine" and "not yours" are one and the
same message.
"""

from __future__ import annotations

from typing import Any

from invirt import config
from invirt.base import validate
from invirt.base.errors import BadInput, Denied, NotFound
from invirt.base.names import MachineName

# One row a machine, with what `list` and `show` need; a principal's rights beside it.
MACHINE = """
SELECT m.machine_id, m.name, m.memory, m.cpus, m.description, m.created_at, m.autostart, m.why_off,
    m.priority, m.system, m.installed_at,
    EXISTS (SELECT FROM reservations r WHERE r.machine_id = m.machine_id AND r.rescue) AS rescue,
    (SELECT c.name::text FROM cdroms c WHERE c.cdrom_id = m.cdrom_id) AS cdrom,
    o.name AS owner, t.name AS type, h.name AS host, h.hostname,
    ARRAY(SELECT x.role FROM access x WHERE x.machine_id = m.machine_id AND x.principal = %(who)s) AS roles
FROM machines m JOIN owners o USING (owner_id) JOIN types t USING (type_id) LEFT JOIN hosts h USING (host_id)
"""
# Of one's own: an administrator's are not all.
MINE = "SELECT machine_id FROM access WHERE principal = %(who)s AND role <> 'administrator'"


def web_principal() -> str | None:
    """Whom `web` commands are taken from; None if the site has no web server."""
    return f"host/{config.web.hostname}@{config.site.realm}" if config.web.hostname else None


def full_principal(text: str) -> str:
    """A person's principal as users write it: bob is bob@ the site's realm.  Raises BadInput."""
    return validate.person(text if "@" in text else f"{text}@{config.site.realm}")


def find(cursor: Any, machine_name: MachineName, principal: str = "") -> Any:
    """The machine's row, with the roles that principal has there; raises NotFound."""
    cursor.execute(f"{MACHINE} WHERE m.name = %(name)s", {"name": machine_name, "who": principal})
    row = cursor.fetchone()
    if row is None:
        raise _absent(machine_name)
    return row


def require_number(cursor: Any, principal: str, machine_id: int | None) -> Any:
    """require() by the machine's number; raises NotFound, which can't tell its name."""
    cursor.execute(f"{MACHINE} WHERE m.machine_id = %(id)s", {"id": machine_id, "who": principal})
    row = cursor.fetchone()
    if row is None or not row.roles:
        raise NotFound("it is gone, or not yours any more", hint="machine list shows what is yours.")
    return row


def require(cursor: Any, principal: str, machine_name: MachineName) -> Any:
    """The machine's row if principal may control it; raises NotFound."""
    row = find(cursor, machine_name, principal)
    if not row.roles:
        raise _absent(machine_name)
    return row


def require_owner(cursor: Any, principal: str, machine_name: MachineName) -> Any:
    """The machine's row if principal may do anything to it; raises NotFound or Denied."""
    row = require(cursor, principal, machine_name)
    if set(row.roles) <= {"user"}:
        raise Denied(
            f"only its owner, {row.owner}, may do this to {machine_name}",
            hint="You may control it and see it: control NAME …, machine show NAME.",
        )
    return row


def mine(cursor: Any, principal: str) -> list[Any]:
    """The rows of all machines that are principal's own, or that they were let in to, by name."""
    cursor.execute(f"{MACHINE} WHERE m.machine_id IN ({MINE}) ORDER BY m.name", {"who": principal})
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
        "SELECT DISTINCT principal FROM access WHERE machine_id = %s AND role <> 'administrator' ORDER BY 1",
        (machine_id,),
    )
    return [found.principal for found in cursor.fetchall()]


def allow(cursor: Any, actor: str, machine_name: MachineName, principal: str) -> None:
    """Let principal control the machine; allowed already is well.  Raises NotFound or Denied."""
    row = require_owner(cursor, actor, machine_name)
    cursor.execute(
        "INSERT INTO machine_access (machine_id, principal) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (row.machine_id, principal),
    )


def disallow(cursor: Any, actor: str, machine_name: MachineName, principal: str) -> None:
    """Take back what allow() gave.  Raises NotFound, Denied, or BadInput if principal has nothing to lose."""
    row = require_owner(cursor, actor, machine_name)
    cursor.execute(
        "DELETE FROM machine_access WHERE machine_id = %s AND principal = %s", (row.machine_id, principal)
    )
    if cursor.rowcount == 0:
        hint = f"Who may: {', '.join(acl(cursor, row.machine_id))}."
        raise BadInput(f"{principal} has not been allowed to control {machine_name}", hint=hint)


def _absent(machine_name: MachineName) -> NotFound:
    return NotFound(
        f"there is no machine {machine_name} that you may use",
        hint="machine list shows yours; its owner can let you in: machine allow NAME PRINCIPAL.",
    )


def no_owner(name: str) -> NotFound:
    """For an owner that isn't there, or that the principal isn't a member of."""
    return NotFound(f"there is no owner {name} that you are a member of", hint="machine quota shows yours.")
