"""Whether a guest can move while it runs, and where to: known before anything is reserved.

The one place that has the reasons: for migrate, and so for drain and balance, and for explain.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from invirt.base.abilities import MEANING, Can
from invirt.remote.answers import Told
from invirt.remote.rows import Cursor
from invirt.remote.survey import Host, Survey

ACCELERATORS = "SELECT host_id, accelerator FROM host_signs"


@dataclass(frozen=True)
class Ways:
    """stays: why it can go nowhere, "" if nothing keeps it.  needs: of its next host, see placement.
    barred: why some host can't be that, by host_id."""

    stays: str
    needs: frozenset[str]
    barred: dict[int, str]


def ways(
    cursor: Cursor, survey: Survey, needs: Collection[str], pools: Collection[str], source: Host
) -> Ways:
    """Where the survey's guest, which runs on the host source, can go while it runs."""
    told = survey.told.get(source.host_id, Told())
    runs = {told.hypervisor} if told.hypervisor else set()
    barred = {
        host.host_id: why
        for host in survey.hosts
        if host != source and (why := _older(survey.told.get(host.host_id, Told()), told))
    }
    barred |= _by_another(cursor, survey, source) | {source.host_id: "it runs there already"}
    return Ways(_stays(survey, pools, source, told), frozenset({*needs, *runs, Can.MOVE}), barred)


def offer(name: str) -> str:
    """What can be done about one that can't move while it runs."""
    return f"admin machine migrate {name} --off shuts it down, and boots it there."


def _stays(survey: Survey, pools: Collection[str], source: Host, told: Told) -> str:
    if Can.MOVE not in told.can:
        return f"{source.name} can't {MEANING[Can.MOVE]}"
    if told.cd:
        return "there is a CD in its drive"
    others = {pool for host in survey.hosts if host != source for pool in host.pools}
    if alone := sorted(set(pools) - others):
        return f"no other host than {source.name} sees the pool {' and '.join(alone)}"
    return ""


def _older(target: Told, source: Told) -> str:
    """A newer QEMU, or Xen, takes in what an older one made, and not the other way round."""
    if target.version and source.made_by and target.version < source.made_by:
        older, made = (".".join(map(str, version)) for version in (target.version, source.made_by))
        it = "Xen" if source.hypervisor == "xen" else "QEMU"
        return f"has {it} {older}, which takes in no guest that {it} {made} made"
    return ""


def _by_another(cursor: Cursor, survey: Survey, source: Host) -> dict[int, str]:
    cursor.execute(ACCELERATORS)
    by: dict[int, Any] = {row.host_id: row.accelerator for row in cursor.fetchall()}
    home = by.get(source.host_id)
    return {
        host.host_id: f"runs guests by {by[host.host_id]}, {source.name} by {home}"
        for host in survey.hosts
        if home and by.get(host.host_id) not in (None, home)
    }
