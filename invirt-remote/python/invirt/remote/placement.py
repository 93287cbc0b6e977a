"""Which host a machine boots on: the one with the least RAM in use that has room and answers."""

from __future__ import annotations

from invirt import config
from invirt.base.errors import NoRoom
from invirt.remote.rows import Cursor
from invirt.remote.survey import Host, Survey


def choose(cursor: Cursor, survey: Survey, memory: int) -> Host:
    """The host for a guest of memory MiB, with every host's row locked until the transaction's end.

    Raises NoRoom, which says of each host what it lacks.
    """
    # In the order of their numbers, so that two boots can't wait for each other.
    cursor.execute(
        "SELECT host_id, name, hostname, memory, enabled FROM hosts ORDER BY host_id FOR NO KEY UPDATE"
    )
    hosts = [Host(*row) for row in cursor.fetchall()]
    used = in_use(cursor)
    lacks = {host.host_id: _lacks(host, survey, memory, used.get(host.host_id, 0)) for host in hosts}
    able = [host for host in hosts if not lacks[host.host_id]]
    if not able:
        said = "\n".join(f"{host.name}: {lacks[host.host_id]}" for host in hosts)
        raise NoRoom(
            f"no host has room for a machine of {memory} MiB",
            hint=f"{said or 'There are no hosts at all.'}\nTry again later, or ask {config.site.contact}.",
        )
    return min(able, key=lambda host: (used.get(host.host_id, 0), host.name))


def in_use(cursor: Cursor) -> dict[int, int]:
    """MiB that are reserved on each host, by host_id."""
    cursor.execute("SELECT host_id, sum(memory) AS memory FROM reservations GROUP BY host_id")
    return {row.host_id: int(row.memory) for row in cursor.fetchall()}


def _lacks(host: Host, survey: Survey, memory: int, used: int) -> str:
    """What this host lacks, "" if nothing."""
    if not host.enabled:
        return "is disabled"
    if host.host_id not in survey.states:
        error = survey.silent.get(host.host_id)
        return error.message if error else "was not asked"
    if used + memory > host.memory:
        free = max(0, host.memory - used)
        return f"{free} of {host.memory} MiB are free, {memory} are wanted"
    return ""
