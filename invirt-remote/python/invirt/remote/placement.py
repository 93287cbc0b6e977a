"""Which host a machine boots on: of those that answer, have room and can what it needs, see asking.rank."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from invirt import config
from invirt.base.abilities import HYPERVISORS, MEANING, OF_HYPERVISOR, OF_STORAGE, named
from invirt.base.errors import BadInput, NoRoom
from invirt.remote import apart
from invirt.remote.answers import Told
from invirt.remote.asking import rank
from invirt.remote.rows import Cursor
from invirt.remote.survey import Host, Survey, all_hosts


def choose(
    cursor: Cursor,
    survey: Survey,
    memory: int,
    needs: Collection[str],
    pools: Collection[str],
    barred: Mapping[int, str] = MappingProxyType({}),
) -> Host:
    """The host for a guest of memory MiB, with every host's row locked until the transaction's end.

    needs: of invirt.base.abilities.NEEDS.  pools: where its disks are.  Raises NoRoom, which says of each
    host what it lacks.  barred: why some can't be it, by host_id.
    """
    # In the order of their numbers, so that two boots can't wait for each other.
    hosts = all_hosts(cursor, "FOR NO KEY UPDATE OF hosts")
    used = in_use(cursor)
    lacking = {
        host: barred.get(host.host_id) or lack
        for host, lack in lacks(cursor, survey, hosts, used, memory, needs, pools).items()
    }
    chosen = best(lacking, used, memory)
    if chosen is None:
        survey.need_all()
        sees = (
            f" that sees the pool {' and '.join(sorted(pools))}" if set(pools) - {survey.first_pool} else ""
        )
        raise NoRoom(f"no host{sees} has room for a machine of {memory} MiB", hint=_said(lacking))
    return chosen


def lacks(
    cursor: Cursor,
    survey: Survey,
    hosts: Iterable[Host],
    used: Mapping[int, int],
    memory: int,
    needs: Collection[str],
    pools: Collection[str],
) -> dict[Host, str]:
    """Why the survey's machine can't be booted on each host now; "" where it can.  used: see in_use()."""
    kept = apart.barred(cursor, survey.seen.machine_id)
    return {
        host: kept.get(host.host_id) or misses(host, survey, needs, pools) or _full(host, memory, used)
        for host in hosts
    }


def best(lacking: Mapping[Host, str], used: Mapping[int, int], memory: int) -> Host | None:
    """Of those that lack nothing the one that is taken, if there is one."""
    able = [host for host, lack in lacking.items() if not lack]
    ranks = {host: (rank(host.memory, used.get(host.host_id, 0), memory), host.name) for host in able}
    return min(able, key=ranks.__getitem__, default=None)


def spoke_for(cursor: Cursor, host: Host, memory: int) -> str:
    """What spoke for the host that was chosen for a guest of memory MiB, which is yet to be reserved."""
    cursor.execute(
        "SELECT coalesce(sum(memory), 0) AS used FROM reservations WHERE host_id = %s", (host.host_id,)
    )
    used = int(cursor.fetchone().used)
    stands = f"{used} of {host.memory} MiB were in use"
    if rank(host.memory, used, memory)[0]:
        return f"of the hosts with room, none of which kept a quarter free, it was the fullest: {stands}"
    return f"of the hosts with room that kept a quarter free it was the least used: {stands}"


def require(survey: Survey, what: str, needs: Collection[str], pools: Collection[str]) -> None:
    """Raises BadInput, which says what each host can't, unless one that answers can all that is needed."""
    lacks = {host: misses(host, survey, needs, pools) for host in survey.hosts}
    if all(lacks.values()):
        survey.need_all()
        wants = " and ".join([*needs, *(f"the pool {pool}" for pool in sorted(pools))])
        raise BadInput(f"no host can run {what}, which needs {wants}", hint=_said(lacks))


def usual_pool(cursor: Cursor, survey: Survey, needs: Collection[str]) -> str:
    """Where a new machine's disk lies if nobody says where.

    That is the first pool, unless no host of the hypervisors that it needs sees that: then one of the
    pools that the host sees which has the most memory left.
    """
    needed = {need for need in needs if need in HYPERVISORS}
    able = [host for host in survey.hosts if host.enabled and host.pools and needed <= {survey.runs(host)}]
    if not able or any(survey.first_pool in host.pools for host in able):
        return survey.first_pool
    used = in_use(cursor)
    return max(able, key=lambda host: host.memory - used.get(host.host_id, 0)).pools[0]


def _said(lacks: Mapping[Host, str]) -> str:
    said = "\n".join(f"{host.name}: {lack}" for host, lack in lacks.items())
    return f"{said or 'There are no hosts at all.'}\nTry again later, or ask {config.site.contact}."


def in_use(cursor: Cursor) -> dict[int, int]:
    """MiB that are reserved on each host, by host_id."""
    cursor.execute("SELECT host_id, sum(memory) AS memory FROM reservations GROUP BY host_id")
    return {row.host_id: int(row.memory) for row in cursor.fetchall()}


def misses(host: Host, survey: Survey, needs: Collection[str], pools: Collection[str]) -> str:
    """Why nothing, or nothing with such needs and with disks in these pools, boots there; "" if it does."""
    if why := survey.why(host) or survey.blind(host, pools):
        return why
    told, runs = survey.told.get(host.host_id, Told()), survey.runs(host)
    if host.hypervisor not in (None, runs):
        return f"runs {runs}, but the database has it as one of {host.hypervisor}"
    if named(needs) and told.hypervisor is None:
        return "is of a version that doesn't say what it can"
    others = [need for need in needs if need in HYPERVISORS and need != runs]
    faults = [f"runs {runs}, not {other}" for other in others]
    parts = [(runs, told.can, OF_HYPERVISOR)]
    for pool in pools:
        driver = survey.pools[pool]
        parts.append((f"pool {pool} ({driver})", (told.storage or {}).get(driver, frozenset()), OF_STORAGE))
    for part, able, asked in parts:
        faults += [f"its {part} can't {MEANING[can]}" for can in sorted(named(needs) & asked - able)]
    return "; ".join(faults)


def _full(host: Host, memory: int, used: Mapping[int, int]) -> str:
    free = max(0, host.memory - used.get(host.host_id, 0))
    return f"{free} of {host.memory} MiB are free, {memory} are wanted" if memory > free else ""
