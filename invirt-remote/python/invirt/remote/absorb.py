"""N+1: whether the other hosts have room for a host's guests, should it die."""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

from invirt.base.abilities import HYPERVISORS
from invirt.remote.asking import SPARE, rank
from invirt.remote.rows import Cursor

# One that is disabled or silent takes nothing, but its guests may be lost all the same.
HOSTS = """
SELECT h.host_id, h.name::text, h.memory, h.hypervisor,
    h.enabled AND h.lost_at IS NULL AND coalesce(s.seen_at > now() - interval '15 s', true) AS takes,
    coalesce(pools, '{}') AS pools
FROM hosts h LEFT JOIN host_signs s USING (host_id)
    LEFT JOIN (SELECT host_id, array_agg(pool_id) AS pools FROM pool_sight GROUP BY 1) seen USING (host_id)
ORDER BY h.name
"""
GUESTS = """
SELECT r.host_id, r.memory, t.needs, coalesce(pools, '{}') AS pools
FROM reservations r JOIN machines m USING (machine_id) JOIN types t USING (type_id)
    LEFT JOIN (SELECT machine_id, array_agg(pool_id) AS pools FROM disks GROUP BY 1) held USING (machine_id)
ORDER BY r.memory DESC
"""


@dataclass(frozen=True)
class Guest:
    """Memory in MiB; hypervisors: that it needs; pools: the numbers of those where its disks are."""

    memory: int
    hypervisors: frozenset[str] = frozenset()
    pools: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Room:
    """A host: MiB for guests, those that are reserved there, the largest first, and whether it takes others.

    hypervisor: None where that is not said, and any will do.
    """

    name: str
    memory: int
    guests: Sequence[Guest] = ()
    takes: bool = True
    pools: frozenset[int] = frozenset()
    hypervisor: str | None = None

    def suits(self, guest: Guest) -> bool:
        """Whether the guest could run there, with room enough."""
        runs = self.hypervisor is None or guest.hypervisors <= {self.hypervisor}
        return runs and guest.pools <= self.pools

    @cached_property
    def used(self) -> int:
        """MiB that are promised to its guests."""
        return sum(guest.memory for guest in self.guests)


def rooms(cursor: Cursor) -> list[Room]:
    """All hosts as they stand in the database."""
    cursor.execute(GUESTS)
    guests: dict[int, list[Guest]] = {}
    same: dict[tuple[object, ...], Guest] = {}  # most are like others
    for host_id, memory, needs, pools in cursor.fetchall():
        guest = same.get(like := (memory, *needs, *pools))
        if guest is None:
            hypervisors = frozenset(need for need in needs if need in HYPERVISORS)
            guest = same[like] = Guest(memory, hypervisors, frozenset(pools))
        guests.setdefault(host_id, []).append(guest)
    cursor.execute(HOSTS)
    return [
        Room(
            row.name, row.memory, guests.get(row.host_id, []), row.takes, frozenset(row.pools), row.hypervisor
        )
        for row in cursor.fetchall()
    ]


def unplaced(hosts: Sequence[Room]) -> dict[str, int]:
    """MiB of each host's guests for which there would be no room elsewhere: 0 where its death is absorbed.

    Guests would be placed as boots are (see asking.rank), the largest first.
    """
    used = sorted((host.used, host.name) for host in hosts if host.takes)
    by_name = {host.name: host for host in hosts}
    return {host.name: _unplaced(host, used, by_name) for host in hosts}


def _unplaced(lost: Room, used: Iterable[tuple[int, str]], hosts: Mapping[str, Room]) -> int:
    left, missing = [(memory, name) for memory, name in used if name != lost.name], 0
    # There never is more than that, with or without a part that stays free.
    most = max((hosts[name].memory - memory for memory, name in left), default=0)
    roomy = max((hosts[name].memory * (SPARE - 1) // SPARE - memory for memory, name in left), default=0)
    largest = max((hosts[name].memory for _, name in left), default=0)
    for guest in lost.guests:
        at = _place(guest, left, hosts, range(len(left)), spare=True) if guest.memory <= roomy else None
        if at is None and guest.memory <= most:
            end = bisect(left, largest - guest.memory, key=itemgetter(0))
            at = _place(guest, left, hosts, range(end - 1, -1, -1), spare=False)
        if at is None:
            missing += guest.memory
        else:
            memory, name = left.pop(at)
            insort(left, (memory + guest.memory, name))
    return missing


def _place(
    guest: Guest, used: Sequence[tuple[int, str]], hosts: Mapping[str, Room], order: range, spare: bool
) -> int | None:
    """The first of these hosts where the guest has room."""
    for at in order:
        memory, name = used[at]
        host = hosts[name]
        fits = memory + guest.memory <= host.memory and host.suits(guest)
        if fits and not (spare and rank(host.memory, memory, guest.memory)[0]):
            return at
    return None
