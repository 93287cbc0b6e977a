"""What the hosts say before an operation is admitted: who answers, and where the guest is.

Hosts are asked outside any transaction, so that a slow one holds no locks.
The admission then checks under its locks that the machine is still the one
that was asked about.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from invirt import config
from invirt.base.errors import InvirtError, NotFound, Unreachable
from invirt.base.names import MachineName
from invirt.database.connection import Connection, transaction
from invirt.remote import asking
from invirt.remote.answers import Told, guest_state, told
from invirt.remote.hosts import Hosts
from invirt.remote.rows import Cursor

HOSTS = """
SELECT host_id, name, hostname, memory, enabled AND lost_at IS NULL AS enabled, hypervisor,
    coalesce(pools, '{}') AS pools, lost_at IS NOT NULL AS lost
FROM hosts LEFT JOIN (SELECT host_id, array_agg(p.name::text ORDER BY pool_id) AS pools
    FROM pools p JOIN pool_sight USING (pool_id) GROUP BY host_id) seen USING (host_id)
ORDER BY host_id
"""
POOLS = "SELECT name::text, driver FROM pools ORDER BY pool_id"


class NotAsked(Exception):
    """It depends on a host that was not asked: all have to be."""


@dataclass(frozen=True)
class Host:
    """A host as it stands in the database; memory in MiB, for guests; pools: the names of those it sees.

    enabled: it gets machines; one that is lost does not, whatever else is said of it.
    """

    host_id: int
    name: str
    hostname: str
    memory: int
    enabled: bool
    hypervisor: str | None
    pools: tuple[str, ...]
    lost: bool = False

    @property
    def detail(self) -> dict[str, Any]:
        """What a step on this host has to know of it."""
        return {"host": self.name, "hostname": self.hostname}


@dataclass(frozen=True)
class Seen:
    """The machine when the hosts were asked; None for one that doesn't exist.

    reserved: the numbers of the hosts that have memory reserved for it.
    was_open: whether its last operation was under way then.  If it is not any
    more, what the hosts said in between is worth nothing.
    """

    machine_id: int | None = None
    reserved: tuple[int, ...] = ()
    last_operation: int | None = None
    was_open: bool = False


@dataclass(frozen=True)
class Survey:
    """states: of the machine's guest ("running" or "off") on each host that answered, by host_id;
    told: what each of them says of itself; silent: why the others didn't; pools: the driver of each, by name,
    the first one first."""

    seen: Seen
    hosts: tuple[Host, ...] = ()
    pools: dict[str, str] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)
    told: dict[int, Told] = field(default_factory=dict)
    silent: dict[int, InvirtError] = field(default_factory=dict)

    def host(self, host_id: int) -> Host:
        """The host of that number."""
        return next(host for host in self.hosts if host.host_id == host_id)

    @property
    def running_on(self) -> list[Host]:
        """The hosts on which a guest of this name runs."""
        return [host for host in self.hosts if self.states.get(host.host_id) == "running"]

    def home_state(self) -> str:
        """Of the guest where memory is reserved for it; raises why a host is silent that has some."""
        for host_id in self.seen.reserved:
            if host_id in self.silent:
                raise self.silent[host_id]
        return "running" if "running" in map(self.states.get, self.seen.reserved) else "off"

    def volume_host(self, name: MachineName, pool: str) -> Host:
        """A host to handle the volumes of machine name in a pool: the same each time, as long as it answers.

        Every host that sees the pool could, but a host knows only the tokens it has seen itself.
        """
        lacks = {host: self.why(host) or self.blind(host, [pool]) for host in self.hosts}
        able = [host for host in self.hosts if not lacks[host]]
        left = [host for host in self.left_out if pool in host.pools]
        if left and asking.volume_host([*able, *left], name) in left:
            raise NotAsked("the host of these volumes was not asked")
        if not able:
            said = "\n".join(f"{host.name}: {lack}" for host, lack in lacks.items())
            raise Unreachable(
                f"no host answers that sees the pool {pool}, and could handle disks there",
                hint=said or "There is no host.",
            )
        return asking.volume_host(able, name)

    @property
    def left_out(self) -> list[Host]:
        """Enabled hosts that were not asked, since others were enough."""
        known = {*self.states, *self.silent}
        return [host for host in self.hosts if host.enabled and host.host_id not in known]

    def need_all(self) -> None:
        """None of those asked will do: raises NotAsked if others are left."""
        if self.left_out:
            raise NotAsked("not all hosts were asked")

    def why(self, host: Host) -> str:
        """Why this host can't be used, "" if it can."""
        if not host.enabled:
            return "was lost" if host.lost else "is disabled"
        error = self.silent.get(host.host_id)
        if error:
            return error.message
        return "" if host.host_id in self.states else "was not asked"

    def runs(self, host: Host) -> str | None:
        """Its hypervisor, as it said, or as the database has it; None if neither is known."""
        return self.told.get(host.host_id, Told()).hypervisor or host.hypervisor

    def blind(self, host: Host, pools: Iterable[str]) -> str:
        """Which of the pools this host doesn't see, "" if it sees all.

        One of the version before knows of the first pool alone.
        """
        old = self.told.get(host.host_id, Told()).storage is None
        unseen = [pool for pool in pools if pool not in host.pools or old and pool != self.first_pool]
        return f"doesn't see the pool {' and '.join(unseen)}" if unseen else ""

    @property
    def first_pool(self) -> str:
        """The pool where none is named."""
        return next(iter(self.pools))

    def known_pool(self, name: str | None) -> str:
        """The pool of that name, the first if there is none; raises NotFound."""
        if name is not None and name not in self.pools:
            raise NotFound(f"there is no pool {name}", hint=f"There is: {', '.join(self.pools)}.")
        return name or self.first_pool


def seen(cursor: Cursor, name: MachineName) -> Seen:
    """The machine as it is now."""
    cursor.execute(
        "SELECT m.machine_id,"
        " ARRAY(SELECT r.host_id FROM reservations r WHERE r.machine_id = m.machine_id ORDER BY 1),"
        " o.operation_id,"
        " coalesce(o.state IN ('running', 'undoing', 'stuck'), false)"
        " FROM machines m LEFT JOIN LATERAL (SELECT operation_id, state FROM operations x"
        " WHERE x.machine_id = m.machine_id ORDER BY operation_id DESC LIMIT 1) o ON true WHERE name = %s",
        (name,),
    )
    row = cursor.fetchone()
    return Seen(row[0], tuple(row[1]), *row[2:]) if row else Seen()


def all_hosts(cursor: Cursor, lock: str = "") -> tuple[Host, ...]:
    """Every host, in the order of their numbers, which is also the order of locking."""
    cursor.execute(f"{HOSTS} {lock}")
    rows = cursor.fetchall()
    return tuple(Host(**{**row._asdict(), "pools": tuple(row.pools)}) for row in rows)


def all_pools(cursor: Cursor) -> dict[str, str]:
    """The driver of each pool, by name, the first one first."""
    cursor.execute(POOLS)
    return {row.name: row.driver or config.storage.driver for row in cursor.fetchall()}


def take(
    connection: Connection,
    hosts: Hosts,
    name: MachineName,
    ask: bool,
    pool: str | None = None,
    whole: bool = False,
) -> Survey:
    """Look at the machine; with ask, ask the hosts that matter about its guest (see asking), or all.

    pool: where a disk shall be, if that is said.
    """
    with transaction(connection) as cursor:
        survey = Survey(seen(cursor, name), all_hosts(cursor), all_pools(cursor))
        if not ask:
            return survey
        pools = {pool or survey.first_pool} if pool or survey.seen.machine_id is None else set()
        asked = _asked(cursor, survey, name, pools, whole)
    answers = hosts.ask(
        [host.hostname for host in asked], "domain", "status", name, timeout=config.remote.host_timeout
    )
    for host in asked:
        try:
            said = answers[host.hostname]
            survey.states[host.host_id] = guest_state(host.hostname, name, said)
            survey.told[host.host_id] = told(host.hostname, said)
        except InvirtError as error:
            survey.silent[host.host_id] = error
    return survey


def _asked(
    cursor: Cursor, survey: Survey, name: MachineName, pools: Collection[str], whole: bool
) -> list[Host]:
    """The hosts that are asked; of those that are not since they are silent that is noted."""
    machine = survey.seen
    matter = asking.whom(cursor, name, machine.machine_id, machine.reserved, survey.hosts, pools)
    for host in survey.hosts:
        if host.enabled and host.host_id in matter.quiet and host.host_id not in matter.must:
            word = f"{host.name} has told nothing for {matter.quiet[host.host_id]} seconds"
            survey.silent[host.host_id] = Unreachable(word)
    left = [host for host in survey.hosts if host.host_id not in survey.silent]
    return [host for host in left if host.host_id in matter.must or whole and host.enabled]
