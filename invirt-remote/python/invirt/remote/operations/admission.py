"""What admissions have in common: the lock on the machine, and what must hold under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from invirt import config
from invirt.base.errors import BadInput, Busy, Denied, NotFound
from invirt.base.names import MachineName
from invirt.remote import access
from invirt.remote import survey as surveys
from invirt.remote.operations import store
from invirt.remote.operations.model import Changed, Detail, Kind, Operation, Request
from invirt.remote.rows import Cursor
from invirt.remote.survey import Survey

DISKS = """
SELECT d.name, size, p.name::text AS pool FROM disks d JOIN pools p USING (pool_id) WHERE machine_id = %s
ORDER BY d.name
"""


@dataclass(frozen=True)
class Machine:
    """A machine's row, locked; memory in MiB.

    needs: what its type and CD want of a host, of invirt.base.abilities.NEEDS.  disks: their sizes in GiB.
    pools: where each of them lies.
    """

    machine_id: int
    name: MachineName
    owner_id: int
    memory: int
    cpus: int
    host_id: int | None
    wanted_on: bool
    needs: frozenset[str]
    disks: dict[str, int]
    pools: dict[str, str]


def lock_machine(cursor: Cursor, request: Request, survey: Survey) -> Machine:
    """The machine, which no other operation is at work on, locked until the transaction's end.

    Raises NotFound, Busy, and Changed when it is not as it was at the survey.
    """
    name = request.machine_name
    cursor.execute(
        "SELECT machine_id, m.name, owner_id, memory, cpus, host_id, wanted_on,"
        " CASE WHEN m.cdrom_id IS NULL THEN needs ELSE needs || 'cdrom'::text END AS needs"
        " FROM machines m JOIN types USING (type_id) WHERE m.name = %s FOR UPDATE OF m",
        (name,),
    )
    row = cursor.fetchone()
    if not row:
        raise NotFound(f"there is no machine called {name}")
    refuse_if_busy(cursor, row.machine_id, name)
    if surveys.seen(cursor, name) != survey.seen:
        raise Changed(f"{name} changed while this was asked for", hint="Try again.")
    cursor.execute(DISKS, (row.machine_id,))
    disks = cursor.fetchall()
    return Machine(
        **{**row._asdict(), "needs": frozenset(row.needs)},
        disks={disk.name: disk.size for disk in disks},
        pools={disk.name: disk.pool for disk in disks},
    )


def require_access(cursor: Cursor, request: Request, kind: Kind) -> None:
    """Raises NotFound or Denied unless the actor may do this to the machine.

    Commands have asked before, but by name: by now another machine may have it.
    """
    if request.actor.administrator or kind.who in ("anyone", "trash"):  # asked of the trash itself
        return
    if kind.who == "administrator":
        raise Denied(f"only an administrator may ask for {kind.name}")
    require = access.require_owner if kind.who == "owner" else access.require
    require(cursor, request.actor.principal, request.machine_name)


def refuse_if_busy(cursor: Cursor, machine_id: int, name: str) -> None:
    """Raises Busy, naming the operation that is open, who asked for it and how it stands."""
    found = store.select(
        cursor, "machine_id = %s AND state IN ('running', 'undoing', 'stuck')", (machine_id,)
    )
    if found:
        raise busy(found[0], name)


def busy(operation: Operation, name: str) -> Busy:
    """What someone is told who wants something of a machine that is being worked on."""
    since = f"since {operation.created_at:%H:%M:%S}"
    if operation.state == "stuck":
        return Busy(
            f"{name}: {operation.title} is stuck: {operation.error}",
            hint=f"An administrator has to look at it: ask {config.site.contact}.",
        )
    how = "under way" if operation.state == "running" else f"being undone ({operation.error})"
    return Busy(f"{name}: {operation.title} is {how} {since}", hint="Try again when it is finished.")


def must_be_off(cursor: Cursor, machine: Machine, survey: Survey) -> None:
    """Raises Busy if the guest runs; Unreachable if that can't be known.

    A guest that powered itself off still has its memory reserved: that ends here.
    """
    survey.home_state()
    if running := survey.running_on:
        raise Busy(
            f"{machine.name} is running on {running[0].name}", hint=f"First: control {machine.name} shutdown."
        )
    if machine.host_id is not None:
        release(cursor, machine.machine_id)


def release(cursor: Cursor, machine_id: int | None) -> None:
    """Give back what memory is reserved on hosts: the guest is known to be off."""
    cursor.execute("DELETE FROM reservations WHERE machine_id = %s", (machine_id,))


def claim_name(cursor: Cursor, name: MachineName) -> None:
    """Make sure that a machine may get the name, and that none is about to; raises BadInput."""
    lock_name(cursor, name)
    cursor.execute("SELECT refuse_name(%s)", (name,))
    cursor.execute("SELECT FROM taken_names WHERE name = %s", (name,))
    if cursor.fetchone() is not None:
        raise BadInput(f"the name {name} is taken", hint="Choose another name.")


def lock_name(cursor: Cursor, name: MachineName) -> None:
    """Lock a name that no machine has, or is about to get or lose; raises BadInput.

    The lock is the one that the database's own rule on names takes.
    """
    cursor.execute("SELECT take_turn(%s)", (name,))
    cursor.execute(
        "SELECT FROM machines WHERE name = %(name)s UNION ALL"
        " SELECT FROM operations WHERE state IN ('running', 'undoing', 'stuck')"
        " AND (kind = 'rename' AND arguments->>'name' = %(name)s"
        "  OR kind = 'volume-trash' AND machine_name = %(name)s)",
        {"name": name},
    )
    if cursor.fetchone() is not None:
        raise BadInput(f"the name {name} is taken", hint="Choose another name.")


def wanted(arguments: Detail, name: str, kind: type) -> Any:
    """An argument that must be there and of its type; raises BadInput.  Commands have checked the values."""
    value = arguments.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadInput(f"{name} is missing")
    return value
