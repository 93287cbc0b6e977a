"""Where a machine may run: on the hosts that have memory reserved for it, and nowhere else."""

from __future__ import annotations

from invirt.base import identity
from invirt.base.errors import Denied
from invirt.base.names import DomainName, MachineName, machine_of
from invirt.database import connection

RESERVED = """
SELECT h.hostname FROM reservations r JOIN hosts h USING (host_id)
    JOIN machines m ON m.machine_id = r.machine_id WHERE m.name = %s
"""


def require(domain: DomainName) -> None:
    """Raises Denied if the domain is that of a machine for which nothing is reserved on this host.

    Whoever boots it here all the same could boot it a second time, or without room.
    """
    name = machine_of(domain)
    if name is not None and identity.hostname() not in hosts(name):
        raise Denied(
            f"no memory is reserved for machine {name} on this host",
            hint=f"control {name} create boots it where there is room.",
        )


def hosts(name: MachineName) -> set[str]:
    """The host names of those that have memory reserved for the machine, as far as this host may see."""
    connection.role = "host"
    with connection.transaction() as cursor:
        cursor.execute(RESERVED, (name,))
        return {row.hostname for row in cursor.fetchall()}
