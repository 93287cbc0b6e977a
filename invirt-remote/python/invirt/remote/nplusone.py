"""N+1 at a boot: whether, with one guest more, some host's death could not be absorbed that could be before.

It is asked under the lock on all hosts, so sums are asked first; only where these leave it open
are the guests placed one by one (see absorb).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from invirt import config
from invirt.base.abilities import HYPERVISORS
from invirt.base.errors import NoRoom
from invirt.remote.absorb import HOSTS, Guest, Room, rooms, unplaced
from invirt.remote.rows import Cursor

SUMS = (
    "SELECT host_id, sum(memory)::bigint AS used, max(memory) AS largest FROM reservations GROUP BY host_id"
)
POOLS = "SELECT DISTINCT pool_id FROM disks WHERE machine_id = %s"


@dataclass(frozen=True)
class Sums:
    """A host: MiB for guests, of those what all its guests have and what its largest has.

    kind: what it runs and which pools it sees.
    """

    memory: int
    used: int
    largest: int
    takes: bool
    kind: object


def surely(hosts: Collection[Sums]) -> bool:
    """Whether any host's death is absorbed, however its guests are placed; False: that is open.

    One for whom there is no room leaves less than the largest guest's size free on each host.
    """
    if len({host.kind for host in hosts}) > 1:
        return False
    return all(_free(lost, hosts) >= lost.used for lost in hosts if lost.used)


def _free(lost: Sums, hosts: Iterable[Sums]) -> int:
    others = (host.memory - host.used for host in hosts if host.takes and host is not lost)
    return sum(max(0, free - lost.largest) for free in others)


def check(cursor: Cursor, machine_id: int, memory: int, needs: Iterable[str], host_id: int) -> str:
    """What a boot of so many MiB there breaks, in words; "" if nothing, or nobody wants to know.

    Its memory is yet to be reserved.  Raises NoRoom where the site wants it refused.
    """
    rule = config.remote.n_plus_one
    if rule == "ignore":
        return ""
    broken = _broken(cursor, machine_id, memory, needs, host_id)
    if broken and rule == "refuse":
        hint = f"A host's death must be absorbed here (remote.n_plus_one). Ask {config.site.contact}."
        raise NoRoom(f"with this machine {broken}", hint=hint)
    return broken and f"N+1 is broken: {broken}"


def _broken(cursor: Cursor, machine_id: int, memory: int, needs: Iterable[str], host_id: int) -> str:
    cursor.execute(SUMS)
    sums = {row.host_id: row for row in cursor.fetchall()}
    cursor.execute(HOSTS)
    hosts, chosen, names = list[Sums](), 0, list[str]()
    for row in cursor.fetchall():
        used, largest = sums[row.host_id][1:] if row.host_id in sums else (0, 0)
        if row.host_id == host_id:
            chosen, used, largest = len(hosts), used + memory, max(largest, memory)
        kind = row.hypervisor, frozenset(row.pools)
        hosts.append(Sums(row.memory, used, largest, row.takes, kind))
        names.append(row.name)
    if sum(host.takes for host in hosts) < 2 or surely(hosts):  # of one host nothing is absorbed anyway
        return ""
    cursor.execute(POOLS, (machine_id,))
    pools = frozenset(row.pool_id for row in cursor.fetchall())
    guest = Guest(memory, frozenset(need for need in needs if need in HYPERVISORS), pools)
    return worse(rooms(cursor), names[chosen], guest)


def worse(hosts: Collection[Room], at: str, guest: Guest) -> str:
    """Of which hosts' deaths more is left without room once the guest is at the host of that name."""
    before = unplaced(list(hosts))
    after = unplaced([with_guest(host, guest) if host.name == at else host for host in hosts])
    lost = {name: memory for name, memory in after.items() if memory > before[name]}
    return "; ".join(
        f"should {name} die, machines of {memory} MiB would have no room elsewhere"
        for name, memory in lost.items()
    )


def with_guest(host: Room, guest: Guest) -> Room:
    """The host with one guest more."""
    return replace(host, guests=sorted([*host.guests, guest], key=lambda one: -one.memory))
