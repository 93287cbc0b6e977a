"""The pools of disks that this host sees, as the database has them."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from invirt import config
from invirt.base import identity, validate
from invirt.base.errors import BadConfig, NotFound
from invirt.base.names import MachineName
from invirt.database import connection
from invirt.host import loading
from invirt.host.storage.volumes import Storage

POOLS = """
p.name::text, p.pool_id = first_pool() AS first, p.driver, p.place, pool_sharers(p.pool_id)
FROM pools p JOIN pool_sight USING (pool_id) JOIN hosts h USING (host_id)
"""
SEEN = f"SELECT {POOLS} WHERE h.hostname = %s ORDER BY p.pool_id"
LIE = f"""
SELECT d.name AS disk, {POOLS} JOIN disks d USING (pool_id) JOIN machines m USING (machine_id)
WHERE h.hostname = %s AND m.name = %s
"""


class Pool(NamedTuple):
    """A pool.  first: it is the one that is meant where none is named.

    driver, place: None until they are known from invirt.yaml, which has them then.  sharers: how many hosts
    see it.
    """

    name: str
    first: bool
    driver: str | None = None
    place: str | None = None
    sharers: int = 1


def _rows(query: str, *more: str) -> list[tuple[Any, ...]]:
    """What the database says of this host, and of more."""
    connection.role = "host"
    with connection.transaction() as cursor:
        cursor.execute(query, (identity.hostname(), *more))
        return list(cursor.fetchall())


def seen() -> list[Pool]:
    """Those that this host sees."""
    return [Pool(*row) for row in _rows(SEEN)]


def disks(name: MachineName) -> dict[str, Pool]:
    """The pool in which each disk of a machine lies, of those that this host sees.

    By the ORM's session: who asks has it in use, and a connection more would take half of a boot's work here.
    """
    from invirt.database.session import reading

    connection.role = "host"
    with reading() as session:
        found = session.connection().exec_driver_sql(LIE, (identity.hostname(), str(name)))
        return {disk: Pool(*row) for disk, *row in found}


def storage(name: str | None = None) -> Storage:
    """That of a pool, by default the first; raises NotFound if this host doesn't see it."""
    for pool in seen():
        if pool.first if name is None else pool.name == name:
            return made(pool)
    raise NotFound(
        f"this host doesn't see the pool {name or 'that is first'}", hint="See invirt-admin pool list."
    )


def made(pool: Pool) -> Storage:
    """The pool's storage; raises BadConfig for a place that can't be one."""
    driver, place = pool.driver or config.storage.driver, pool.place or config.storage.place
    if not validate.is_place(driver, place):
        raise BadConfig(f"pool {pool.name}: {place!a} is no place for the driver {driver!a}")
    found = loading.storages()[driver](place)
    if pool.sharers > 1 and (why := found.unshared(loading.driver())):
        raise BadConfig(
            f"{pool.sharers} hosts see the pool {pool.name}, and it is of one host alone: {why}",
            hint=f"invirt-admin pool hosts {pool.name} --remove HOST; each host can have a pool of its own.",
        )
    return found


class OfMachines:
    """Where machines' disks are, whatever pools they lie in; looked up once for all disks of a machine."""

    def __init__(self) -> None:
        self._disks = cache(disks)

    def path(self, name: MachineName, disk: str) -> str:
        """The file or device that a hypervisor opens; raises NotFound."""
        pool = self._disks(name).get(disk)
        if pool is None:
            raise NotFound(f"{name} has no disk {disk} in a pool that this host sees")
        return made(pool).path(name, disk)
