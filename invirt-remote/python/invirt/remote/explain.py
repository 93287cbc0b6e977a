"""`machine explain`: why a machine is where it is, or where it would go, and what each other host lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from invirt.base import tables
from invirt.base.cli import Verb, Who
from invirt.base.names import MachineName
from invirt.remote import access, movable, placement, survey
from invirt.remote.actor import Actor
from invirt.remote.hosts import RemctlHosts
from invirt.remote.rows import Cursor
from invirt.remote.session import connected, transaction
from invirt.remote.survey import Host, Survey
from invirt.remote.verbs import NAME

MACHINE = """
SELECT m.memory, t.needs, ARRAY(SELECT DISTINCT p.name::text FROM disks d JOIN pools p USING (pool_id)
    WHERE d.machine_id = m.machine_id) AS pools
FROM machines m JOIN types t USING (type_id) WHERE machine_id = %s
"""
# What reserved its memory there, the oldest first: with two, it moves from the first to the second.
HERE = """
SELECT r.host_id, o.operation_id, o.kind, o.principal, o.created_at,
    (SELECT max(detail->>'why') FROM operation_steps s WHERE s.operation_id = o.operation_id) AS why
FROM reservations r LEFT JOIN operations o USING (operation_id) WHERE r.machine_id = %s
ORDER BY r.operation_id NULLS FIRST
"""


def explain(actor: Actor, name: MachineName) -> dict[str, Any]:
    """A record of each host: what it is to the machine, or what it lacks now.  All hosts are asked.

    No other machine is named, nor what others use but for the sum: what a boot's refusal tells, too.
    """
    with transaction() as cursor:
        row = access.require(cursor, actor.principal, name)
    said = survey.take(connected(), RemctlHosts(), name, ask=True, whole=True)
    with transaction() as cursor:
        cursor.execute(MACHINE, (row.machine_id,))
        machine = cursor.fetchone()
        cursor.execute(HERE, (row.machine_id,))
        here = {found.host_id: found for found in cursor.fetchall()}
        used = placement.in_use(cursor)
        lacks = _lacks(cursor, said, machine, used, [said.host(number) for number in here])
    best = None if here else placement.best(lacks, used, machine.memory)
    still = any(said.told[number].still for number in here if number in said.told)
    words = {
        host: _said(host, lacks[host], here.get(host.host_id), host is best, still) for host in said.hosts
    }
    return {
        "machine": name,
        "is": "on" if here else "off",
        "hosts": [{"host": host.name, "says": said} for host, said in words.items()],
    }


def _lacks(
    cursor: Cursor, said: Survey, machine: Any, used: Mapping[int, int], homes: Sequence[Host]
) -> dict[Host, str]:
    """What each host lacks for the machine: to boot it, or where it runs to take it in while it does."""
    needs, barred = machine.needs, dict[int, str]()
    if homes and homes[0].host_id in said.told:
        ways = movable.ways(cursor, said, needs, machine.pools, homes[0])
        needs, barred = ways.needs, ways.barred
        if ways.stays:
            return dict.fromkeys(said.hosts, f"it can't move while it runs: {ways.stays}")
    lacks = placement.lacks(cursor, said, said.hosts, used, machine.memory, needs, machine.pools)
    return {host: barred.get(host.host_id) or lack for host, lack in lacks.items()}


def _said(host: Any, lack: str, here: Any, best: bool, still: bool) -> str:
    if here:
        return _since(here)
    if best:
        return "it would be booted here"
    return lack or ("would do, but it stands still while it is sent" if still else "would do, too")


def _since(here: Any) -> str:
    """Since when, by whom and why."""
    if here.operation_id is None:
        return "it is here; since when is not known any more"
    when = here.created_at.isoformat(sep=" ", timespec="seconds")
    why = f": {here.why}" if here.why else ""
    return f"it is here since {when}, by {here.kind} of {here.principal} (operation {here.operation_id}){why}"


def _shown(found: dict[str, Any]) -> str:
    return tables.table(["HOST", ""], [[one["host"], one["says"]] for one in found["hosts"]])


VERBS = (
    Verb("explain", "why a machine is where it is, or would go, and what each other host lacks now", explain,
         (NAME,), who=Who.USER, shown=_shown),
)  # fmt: skip
