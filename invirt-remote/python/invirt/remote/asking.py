"""Which hosts are asked about a machine's guest: those that matter, however many there are.

A guest starts where memory is reserved for it, and nowhere else.  So those hosts are asked, and
those that said last that it runs there; those that run something unreserved, or tell nothing since
they are of the version before; and a few that could serve.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from invirt.base.names import MachineName
from invirt.remote.rows import Cursor

if TYPE_CHECKING:
    from invirt.remote.survey import Host

FEW = 3  # hosts, those that would be chosen first, that are asked whether they take a guest
SPARE = 4  # of so many parts of a host's memory one stays free, as long as that goes
# quiet: told something once, and nothing for so many seconds; MiB are reserved there.
SIGNS = """
SELECT host_id, strangers, CASE WHEN seen_at < now() - interval '15 s'
        THEN extract(epoch FROM now() - seen_at)::integer END AS quiet,
    (SELECT coalesce(sum(memory), 0) FROM reservations r WHERE r.host_id = hosts.host_id)::bigint AS used,
    EXISTS (SELECT FROM guest_states g WHERE g.host_id = hosts.host_id AND machine_id = %s AND state <> 'off')
        AS claims
FROM hosts LEFT JOIN host_signs USING (host_id)
"""
WANTS = """
SELECT memory, ARRAY(SELECT DISTINCT p.name::text FROM disks d JOIN pools p USING (pool_id)
    WHERE d.machine_id = m.machine_id) AS pools
FROM machines m WHERE machine_id = %s
"""


@dataclass(frozen=True)
class Asking:
    """must: the hosts that are asked, by host_id; quiet: those that are not, since they are silent, and for
    how many seconds."""

    must: set[int] = field(default_factory=set)
    quiet: dict[int, int] = field(default_factory=dict)


def whom(
    cursor: Cursor,
    name: MachineName,
    machine_id: int | None,
    reserved: Iterable[int],
    hosts: Sequence[Host],
    pools: Collection[str],
) -> Asking:
    """For a machine, or the name of one that is to be.

    pools: others than its disks', where some are handled.  A host that is silent is asked only where it
    has to know, or where none else is left.
    """
    cursor.execute(SIGNS, (machine_id,))
    signs = {row.host_id: row for row in cursor.fetchall()}
    quiet = {host: sign.quiet for host, sign in signs.items() if sign.quiet is not None}
    if all(host.host_id in quiet for host in hosts if host.enabled):
        quiet = {}
    able = [host for host in hosts if host.enabled and host.host_id in signs.keys() - quiet.keys()]
    cursor.execute(WANTS, (machine_id,))
    machine = cursor.fetchone()
    must = {*reserved, *(host for host, sign in signs.items() if sign.claims)}
    must |= {host.host_id for host in able if signs[host.host_id].strangers != 0}
    wanted, seen = (machine.memory, {*machine.pools}) if machine else (0, {*pools})
    must |= {host.host_id for host in _first(able, signs, wanted, seen)}
    for pool in {*pools, *seen}:
        seeing = [host for host in able if pool in host.pools]
        must |= {volume_host(seeing, name).host_id} if seeing else set()
    return Asking(must, quiet)


def rank(memory: int, used: int, wanted: int) -> tuple[bool, int]:
    """Of two hosts with room the one of the lesser rank is chosen; all in MiB.

    The least used, if a part of its memory stays free; if there is none such the most used, so that
    what is free is not in pieces that are too small for large guests.
    """
    tight = SPARE * (memory - used - wanted) < memory
    return tight, -used if tight else used


def _first(hosts: Iterable[Host], signs: dict[int, Any], wanted: int, pools: set[str]) -> list[Host]:
    """Of those where there is room for so many MiB, and its pools are seen: see placement.choose."""
    used = {host.host_id: signs[host.host_id].used for host in hosts}
    fit = [host for host in hosts if pools <= set(host.pools) and host.memory - used[host.host_id] >= wanted]
    return sorted(fit, key=lambda host: (rank(host.memory, used[host.host_id], wanted), host.name))[:FEW]


def volume_host(hosts: Iterable[Host], name: MachineName) -> Host:
    """Of these hosts the one that handles the volumes of machine name, the same each time."""
    return min(hosts, key=lambda host: zlib.crc32(f"{name} {host.name}".encode()))
