"""The trash in its own time: what has come to its end is ended, and what no row names gets one."""

from __future__ import annotations

from collections.abc import Iterable

from invirt import config
from invirt.base.errors import InvirtError
from invirt.base.names import MachineName
from invirt.database.connection import Connection, transaction
from invirt.remote import operations, trash
from invirt.remote.hosts import Hosts
from invirt.remote.operations.model import Actor
from invirt.remote.rows import Cursor

Stray = tuple[MachineName, str, int, str]  # machine, disk, the operation that removed it, and the pool

# Whose a stray was, as far as operations tell: the owner of the machine, if that is still
# there, else the only owner that who removed it is a member of.  Only of operations from
# before there were rows: else a host gone bad could fill people's quotas with what is no more.
WHOSE = """
SELECT o.finished_at, coalesce(
    (SELECT owner_id FROM machines m WHERE m.machine_id = o.machine_id),
    (SELECT min(owner_id) FROM members x WHERE x.principal = o.principal HAVING count(*) = 1)) AS owner_id
FROM operations o WHERE operation_id = %(operation)s AND kind IN ('delete', 'disk-remove') AND state = 'done'
    AND EXISTS (SELECT FROM operation_steps s WHERE s.operation_id = o.operation_id
        AND s.name = 'remove volume' AND detail->>'name' = %(name)s AND detail->>'disk' = %(disk)s)
    AND NOT EXISTS (SELECT FROM operation_steps s
        WHERE s.operation_id = o.operation_id AND detail ? 'in_trash')
"""
MOST = 1000  # strays that get a row in one turn


def administrator() -> Actor:
    """In whose name the remote server does what nobody asked for."""
    return Actor(config.remote_principals[0], administrator=True)


def end_old(connection: Connection, hosts: Hosts) -> Iterable[str]:
    """Purge what has lain in the trash until its end; yields what was done, or why not."""
    with transaction(connection) as cursor:
        found = trash.select(cursor, "WHERE ends_at < now() AND taken IS NULL")
    for one in found:
        title = f"{one.name} (number {one.trash_id}) in the trash"
        try:
            operations.submit(
                "purge",
                administrator(),
                one.name,
                {"trash": one.trash_id},
                hosts=hosts,
                connection=connection,
            )
        except InvirtError as error:
            yield f"{title} could not be ended: {error.message}"
        else:
            yield f"{title} has ended"


def adopt(connection: Connection, stray: Stray, size: int) -> None:
    """Enter a volume in hosts' trash that no row names."""
    name, disk, operation, pool = stray
    with transaction(connection) as cursor:
        if stray in known(cursor):
            return
        cursor.execute(WHOSE, {"operation": operation, "name": name, "disk": disk})
        row = cursor.fetchone()
        owner, ended = (row.owner_id, row.finished_at) if row else (None, None)
        found = trash.Found(min(size, config.machines.max_disk), operation, pool)
        trash.put_stray(cursor, name, disk, found, owner, ended)


def known(cursor: Cursor) -> set[Stray]:
    """Every volume that is in the trash by the rows."""
    cursor.execute(
        "SELECT t.name::text, d.name AS disk, operation_id, p.name::text AS pool FROM trash t"
        " JOIN trash_disks d USING (trash_id) JOIN pools p USING (pool_id)"
    )
    return {tuple(row) for row in cursor.fetchall()}
