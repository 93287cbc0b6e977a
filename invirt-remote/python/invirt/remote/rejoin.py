"""A host that was lost, or disabled, comes back into service: once it answers, and is what it was before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from invirt import config
from invirt.base.errors import BadInput, Busy
from invirt.database.connection import Connection, transaction
from invirt.remote import reconcile
from invirt.remote.answers import about_host, volumes
from invirt.remote.hosts import Hosts
from invirt.remote.lost import find, running
from invirt.remote.operations.engine import change
from invirt.remote.operations.model import Say
from invirt.remote.rows import Cursor
from invirt.remote.survey import Host, all_pools

FRESH = 15.0  # seconds: an older sign of life is none
CLOCK = 60.0  # seconds that its clock may be off, as invirt-check has it
SHOWN = 3  # disks that are named
RESERVED = """
SELECT m.name FROM reservations r JOIN machines m USING (machine_id) WHERE r.host_id = %s
"""
BACK = "UPDATE hosts SET lost_at = NULL, lost_by = NULL, enabled = true WHERE host_id = %s"


def rejoin(connection: Connection, hosts: Hosts, name: str, say: Say) -> str:
    """Take a host back into service.  Raises why it can't be: then nothing is changed."""
    host = find(connection, name)
    with transaction(connection) as cursor:
        pools, began = all_pools(cursor), reconcile.now(cursor)
    say(f"asking {host.name} what it is, and runs")
    answer = hosts.call(host.hostname, "host", "status", timeout=config.remote.host_timeout)
    about = about_host(host.hostname, answer)
    guests = running(hosts, host)
    with transaction(connection) as cursor:
        _refuse_strangers(cursor, host, guests)
        _refuse_silent(cursor, host)
        _refuse_clock(host, about, began, reconcile.now(cursor))
    _refuse_others(host, about)
    first = next(iter(pools))
    for pool in host.pools:
        if pool == first or "storage" in about:  # one of the version before knows but the first
            say(f"asking {host.name} for the disks in pool {pool}")
            _refuse_pool(connection, hosts, host, pool, began, () if pool == first else ("--pool", pool))
    change(connection, lambda cursor: cursor.execute(BACK, (host.host_id,)))
    return f"{host.name} is in service; invirt-reconcile tells what is left over there"


def _refuse_strangers(cursor: Cursor, host: Host, found: set[Any]) -> None:
    """What runs there and is promised nothing may run elsewhere, too."""
    cursor.execute(RESERVED, (host.host_id,))
    if strangers := sorted(found - {row.name for row in cursor.fetchall()}):
        raise Busy(
            f"{host.name} runs what has no reservation there: {', '.join(strangers)}",
            hint=f"End it on {host.name} (xm destroy d_{strangers[0]}), then try again.",
        )


def _refuse_silent(cursor: Cursor, host: Host) -> None:
    cursor.execute(
        "SELECT extract(epoch FROM clock_timestamp() - seen_at)::float AS quiet FROM host_signs"
        " WHERE host_id = %s",
        (host.host_id,),
    )
    sign = cursor.fetchone()
    if sign is None or sign.quiet > FRESH:
        raise Busy(
            f"{host.name} answers, but tells the database nothing",
            hint="Look at invirt-host-observer on it (invirt-check says more), then try again.",
        )


def _refuse_clock(host: Host, about: dict[str, Any], began: datetime, ended: datetime) -> None:
    """What it told between these two times of the database; one of the version before tells no time."""
    told = about.get("clock")
    if not isinstance(told, float):
        return
    off = max(began.timestamp() - told, told - ended.timestamp())
    if not off <= CLOCK:
        raise Busy(
            f"the clock of {host.name} is {off:.0f} s off that of {config.database.hostname}",
            hint=f"Set it, and keep both by NTP (chrony; invirt-check clock on {host.name}), then try again.",
        )


def _refuse_others(host: Host, about: dict[str, Any]) -> None:
    """One that was booted without its hypervisor would get nothing."""
    runs = about.get("hypervisor")
    if host.hypervisor not in (None, runs):
        raise BadInput(
            f"{host.name} runs {runs!s:.20}, but the database has it as one of {host.hypervisor}",
            hint=f"Boot it as that, or: admin host set {host.name} --hypervisor …",
        )


def _refuse_pool(
    connection: Connection, hosts: Hosts, host: Host, pool: str, began: datetime, named: Sequence[str]
) -> None:
    """A folder where nothing is mounted, or another volume group of that name, lacks disks that are there."""
    answer = hosts.call(host.hostname, "volume", "list", *named, timeout=config.remote.work_timeout)
    seen = volumes(host.hostname, answer)
    with transaction(connection) as cursor:
        cursor.execute(f"{reconcile.DISKS} WHERE p.name = %s ORDER BY m.name, d.name", (pool,))
        disks = cursor.fetchall()
        cursor.execute(reconcile.MOVING, (began,))
        moving = {row.name for row in cursor.fetchall()}
    missing = [
        f"{row.disk} of {row.name}"
        for row in disks
        if row.name not in moving and seen.get((row.name, row.disk)) != row.size
    ]
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise Busy(
            f"{host.name} doesn't see the pool {pool} as it is: it lacks {', '.join(missing[:SHOWN])}{more}",
            hint=f"Look on {host.name} whether the pool's folder is mounted, or its volume group is there,"
            " then try again.",
        )
