"""Where a machine may run: on the hosts that have memory reserved for it, and nowhere else."""

from __future__ import annotations

from invirt.base import identity
from invirt.base.errors import Denied
from invirt.base.names import DomainName, MachineName, machine_of
from invirt.database import connection
from invirt.host import loading

RESERVED = """
SELECT h.hostname, h.hypervisor FROM reservations r JOIN hosts h USING (host_id)
    JOIN machines m ON m.machine_id = r.machine_id WHERE m.name = %s
"""

MEMORY = """
SELECT r.memory FROM reservations r JOIN hosts h USING (host_id)
    JOIN machines m ON m.machine_id = r.machine_id WHERE h.hostname = %s AND m.name = %s
"""


def require(domain: DomainName) -> None:
    """Raises Denied if the domain is that of a machine for which nothing is reserved on this host, or if
    the host is of another hypervisor than the database has it.

    Whoever boots it here all the same could boot it a second time, or without room.
    """
    name = machine_of(domain)
    if name is None:
        return
    found, here = hosts(name), identity.hostname()
    if here not in found:
        raise Denied(
            f"no memory is reserved for machine {name} on this host",
            hint=f"control {name} create boots it where there is room.",
        )
    if found[here] not in (None, loading.driver()):
        raise Denied(
            f"this host runs {loading.driver()}, but the database has it as one of {found[here]}",
            hint=f"Boot it as that, or: invirt-admin host set NAME --hypervisor {loading.driver()}",
        )


def memory(name: MachineName) -> int:
    """MiB that are reserved for the machine on this host, 0 if none are."""
    connection.role = "host"
    with connection.transaction() as cursor:
        cursor.execute(MEMORY, (identity.hostname(), name))
        row = cursor.fetchone()
    return int(row.memory) if row else 0


def hosts(name: MachineName) -> dict[str, str | None]:
    """The hypervisors, by host name, of those that have memory reserved for the machine, as far as this
    host may see."""
    connection.role = "host"
    with connection.transaction() as cursor:
        cursor.execute(RESERVED, (name,))
        return {row.hostname: row.hypervisor for row in cursor.fetchall()}
