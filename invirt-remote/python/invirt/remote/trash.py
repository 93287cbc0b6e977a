"""The rows of the trash: what was removed, whose it is, and what makes it again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from invirt import config
from invirt.base.errors import BadInput, Busy, NotFound
from invirt.base.names import MachineName
from invirt.remote.rows import Cursor

# A machine's row, and what hangs on it, as JSON.
PUT_MACHINE = """
INSERT INTO trash (name, machine_id, owner_id, machine, ends_at)
SELECT m.name, m.machine_id, m.owner_id, jsonb_build_object(
    'memory', m.memory, 'cpus', m.cpus, 'type', t.name, 'description', m.description,
    'created_at', m.created_at, 'autostart', m.autostart, 'priority', m.priority,
    'system', m.system, 'installed_at', m.installed_at,
    'access', (SELECT coalesce(jsonb_agg(principal ORDER BY principal), '[]')
        FROM machine_access a WHERE a.machine_id = m.machine_id),
    'nics', (SELECT coalesce(jsonb_agg(jsonb_build_object('mac_addr', mac_addr, 'ip', host(ip),
        'hostname', hostname, 'ip6', host(ip6), 'hostnames', (SELECT coalesce(jsonb_agg(h.hostname), '[]')
            FROM hostnames h WHERE h.nic_id = n.nic_id)) ORDER BY nic_id), '[]')
        FROM nics n WHERE n.machine_id = m.machine_id)
), now() + %(days)s * interval '1 day' FROM machines m JOIN types t USING (type_id)
WHERE machine_id = %(machine_id)s RETURNING trash_id
"""
PUT_DISK = """
INSERT INTO trash (name, machine_id, owner_id, ends_at)
SELECT m.name, m.machine_id, m.owner_id, now() + %(days)s * interval '1 day'
FROM machines m WHERE machine_id = %(machine_id)s RETURNING trash_id
"""
PUT_STRAY = """
INSERT INTO trash (name, owner_id, deleted_at, ends_at)
SELECT %(name)s, %(owner_id)s, at, at + %(days)s * interval '1 day'
FROM coalesce(%(deleted_at)s::timestamptz, now()) at RETURNING trash_id
"""
MOVE_DISKS = """
WITH moved AS (DELETE FROM disks WHERE machine_id = %(machine_id)s AND name LIKE %(disk)s
    RETURNING name, size, pool_id)
INSERT INTO trash_disks (trash_id, name, size, operation_id, pool_id)
SELECT %(trash_id)s, name, size, %(operation_id)s, pool_id FROM moved
"""
COLUMNS = """
SELECT t.trash_id, t.name::text AS name, t.machine_id, t.owner_id, t.machine, t.taken, t.deleted_at,
    t.ends_at, o.name AS owner FROM trash t LEFT JOIN owners o USING (owner_id)
"""
MINE = "WHERE t.owner_id IN (SELECT owner_id FROM owner_access WHERE principal = %(who)s AND role = 'owner')"
MAY = "WHERE t.owner_id IN (SELECT owner_id FROM owner_access WHERE principal = %(who)s)"


class Found(NamedTuple):
    """A disk in the trash: its GiB, the operation by whose number hosts know its volume, and its pool.

    pool: "" in operations of the version before, for the first one.
    """

    size: int
    operation: int
    pool: str


@dataclass(frozen=True)
class Trashed:
    """What lies in the trash: a machine, or a single disk (machine is None)."""

    trash_id: int
    name: MachineName
    machine_id: int | None
    owner_id: int | None
    machine: dict[str, Any] | None
    taken: str | None
    deleted_at: datetime
    ends_at: datetime
    owner: str | None
    disks: dict[str, Found] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """GiB of all disks."""
        return sum(disk.size for disk in self.disks.values())


def put_machine(cursor: Cursor, machine_id: int | None, operation_id: int) -> None:
    """Move a machine's rows into the trash; its volumes are there already, by that operation."""
    _put(cursor, PUT_MACHINE, machine_id, "%", operation_id)
    cursor.execute("DELETE FROM machines WHERE machine_id = %s", (machine_id,))


def put_disk(cursor: Cursor, machine_id: int | None, disk: str, operation_id: int) -> None:
    """Move a disk's row into the trash."""
    _put(cursor, PUT_DISK, machine_id, disk, operation_id)


def _put(cursor: Cursor, query: str, machine_id: int | None, disk: str, operation_id: int) -> None:
    values = {"machine_id": machine_id, "days": config.storage.trash_days}
    cursor.execute(query, values)
    if row := cursor.fetchone():
        more = {"trash_id": row.trash_id, "disk": disk, "operation_id": operation_id}
        cursor.execute(MOVE_DISKS, {**values, **more})


def put_stray(
    cursor: Cursor,
    name: str,
    disk: str,
    found: Found,
    owner_id: int | None = None,
    deleted_at: datetime | None = None,
) -> None:
    """Enter a volume in hosts' trash that no row names; without an owner it is the administrators'."""
    values = {"name": name, "owner_id": owner_id, "deleted_at": deleted_at}
    cursor.execute(PUT_STRAY, {**values, "days": config.storage.trash_days})
    cursor.execute(
        "INSERT INTO trash_disks (trash_id, name, size, operation_id, pool_id)"
        " SELECT %s, %s, %s, %s, coalesce((SELECT pool_id FROM pools WHERE name = %s), first_pool())",
        (cursor.fetchone().trash_id, disk, *found),
    )


def select(cursor: Cursor, where: str, **values: object) -> list[Trashed]:
    """What is in the trash and for which `where` holds, oldest first, with its disks."""
    cursor.execute(f"{COLUMNS} {where} ORDER BY trash_id", values)
    found = {row.trash_id: Trashed(**row._asdict()) for row in cursor.fetchall()}
    cursor.execute(
        "SELECT trash_id, d.name, size, operation_id, p.name::text AS pool FROM trash_disks d"
        " JOIN pools p USING (pool_id) WHERE trash_id = ANY(%s) ORDER BY d.name",
        (list(found),),
    )
    for disk in cursor.fetchall():
        found[disk.trash_id].disks[disk.name] = Found(*disk[2:])
    return list(found.values())


def mine(cursor: Cursor, principal: str) -> list[Trashed]:
    """What the owners of principal have in the trash."""
    return select(cursor, MINE, who=principal)


def find(cursor: Cursor, principal: str, what: str, disk: str | None = None) -> Trashed:
    """The one thing that principal means by a name or number; raises NotFound or BadInput.

    disk: only single disks of that name are meant.
    """
    meant = select(cursor, f"{MAY} AND %(what)s IN (t.name, t.trash_id::text)", who=principal, what=what)
    found = [one for one in meant if disk is None or one.machine is None and disk in one.disks]
    named = [one for one in found if one.name == what] or [one for one in found if str(one.trash_id) == what]
    if not named:
        raise _absent(what)
    if len(named) > 1:
        numbers = ", ".join(str(one.trash_id) for one in named)
        raise BadInput(
            f"{what} is several things in your trash",
            hint=f"Say its number, of {numbers}: see machine trash.",
        )
    return named[0]


def take(cursor: Cursor, principal: str | None, trash_id: int, taken: str) -> Trashed:
    """Lock one thing for an operation, and mark it so.  principal: None for the servers themselves.

    Raises NotFound, also for who may do nothing for its owner, and Busy if another operation has it.
    """
    cursor.execute("SELECT FROM trash WHERE trash_id = %s FOR UPDATE", (trash_id,))
    may = MAY if principal else "WHERE true"
    found = select(cursor, f"{may} AND trash_id = %(trash_id)s", who=principal, trash_id=trash_id)
    if not found:
        raise _absent(str(trash_id))
    if found[0].taken:
        raise Busy(f"{found[0].taken} of {found[0].name} is under way", hint="Try again when it is finished.")
    mark(cursor, trash_id, taken)
    return found[0]


def mark(cursor: Cursor, trash_id: int, taken: str | None) -> None:
    """What an operation does to it from now on; None: nothing any more."""
    cursor.execute("UPDATE trash SET taken = %s WHERE trash_id = %s", (taken, trash_id))


def forget(cursor: Cursor, trash_id: int) -> None:
    """It is in the trash no more."""
    cursor.execute("DELETE FROM trash WHERE trash_id = %s", (trash_id,))


def _absent(what: str) -> NotFound:
    return NotFound(
        f"there is nothing called {what} in a trash of yours", hint="machine trash shows what there is."
    )
