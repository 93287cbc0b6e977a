"""Which host a machine boots on: of those that answer, have room and can what it needs, the least used."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from invirt import config
from invirt.base.abilities import HYPERVISORS, MEANING, OF_HYPERVISOR, OF_STORAGE, named
from invirt.base.errors import BadInput, NoRoom
from invirt.remote.answers import Told
from invirt.remote.rows import Cursor
from invirt.remote.survey import HOSTS, Host, Survey


def choose(cursor: Cursor, survey: Survey, memory: int, needs: Collection[str] = ()) -> Host:
    """The host for a guest of memory MiB, with every host's row locked until the transaction's end.

    needs: of invirt.base.abilities.NEEDS.  Raises NoRoom, which says of each host what it lacks.
    """
    # In the order of their numbers, so that two boots can't wait for each other.
    cursor.execute(f"{HOSTS} FOR NO KEY UPDATE")
    hosts = [Host(*row) for row in cursor.fetchall()]
    used = in_use(cursor)
    lacks = {
        host: _silent(host, survey) or misses(host, survey, needs) or _full(host, memory, used)
        for host in hosts
    }
    able = [host for host in hosts if not lacks[host]]
    if not able:
        raise NoRoom(f"no host has room for a machine of {memory} MiB", hint=_said(lacks))
    return min(able, key=lambda host: (used.get(host.host_id, 0), host.name))


def require(survey: Survey, what: str, needs: Collection[str]) -> None:
    """Raises BadInput, which says what each host can't, unless one that answers can all that is needed."""
    lacks = {host: _silent(host, survey) or misses(host, survey, needs) for host in survey.hosts}
    if needs and all(lacks.values()):
        raise BadInput(f"no host can run {what}, which needs {' and '.join(needs)}", hint=_said(lacks))


def _said(lacks: Mapping[Host, str]) -> str:
    said = "\n".join(f"{host.name}: {lack}" for host, lack in lacks.items())
    return f"{said or 'There are no hosts at all.'}\nTry again later, or ask {config.site.contact}."


def in_use(cursor: Cursor) -> dict[int, int]:
    """MiB that are reserved on each host, by host_id."""
    cursor.execute("SELECT host_id, sum(memory) AS memory FROM reservations GROUP BY host_id")
    return {row.host_id: int(row.memory) for row in cursor.fetchall()}


def _silent(host: Host, survey: Survey) -> str:
    """Why nothing is booted on this host at all, "" if there is no reason."""
    if host.enabled and host.host_id not in survey.states and host.host_id not in survey.silent:
        return "was not asked"
    return survey.why(host)


def misses(host: Host, survey: Survey, needs: Collection[str]) -> str:
    """What of all that is needed the host's hypervisor and storage, as it tells of them, are not or can't."""
    told = survey.told.get(host.host_id, Told())
    runs = told.hypervisor or host.hypervisor
    if host.hypervisor not in (None, runs):
        return f"runs {runs}, but the database has it as one of {host.hypervisor}"
    if named(needs) and told.hypervisor is None:
        return "is of a version that doesn't say what it can"
    others = [need for need in needs if need in HYPERVISORS and need != runs]
    faults = [f"runs {runs}, not {other}" for other in others]
    parts = [(runs, told.can, OF_HYPERVISOR)]
    parts += [(driver, able, OF_STORAGE) for driver, able in (told.storage or {}).items()]
    for part, able, asked in parts:
        faults += [f"its {part} can't {MEANING[can]}" for can in sorted(named(needs) & asked - able)]
    return "; ".join(faults)


def _full(host: Host, memory: int, used: Mapping[int, int]) -> str:
    free = max(0, host.memory - used.get(host.host_id, 0))
    return f"{free} of {host.memory} MiB are free, {memory} are wanted" if memory > free else ""
