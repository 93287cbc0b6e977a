"""A host that was lost, or disabled, comes back into service: once it answers, and runs only its own."""

from __future__ import annotations

import json
from typing import Any

from invirt import config
from invirt.base.errors import BadInput, Busy
from invirt.database.connection import Connection, transaction
from invirt.remote.hosts import Hosts
from invirt.remote.lost import find, running
from invirt.remote.operations.engine import change
from invirt.remote.operations.model import Say
from invirt.remote.rows import Cursor
from invirt.remote.survey import Host

FRESH = 15.0  # seconds: an older sign of life is none
RESERVED = """
SELECT m.name FROM reservations r JOIN machines m USING (machine_id) WHERE r.host_id = %s
"""
BACK = "UPDATE hosts SET lost_at = NULL, lost_by = NULL, enabled = true WHERE host_id = %s"


def rejoin(connection: Connection, hosts: Hosts, name: str, say: Say) -> str:
    """Take a host back into service.  Raises why it can't be: then nothing is changed."""
    host = find(connection, name)
    say(f"asking {host.name} what it is, and runs")
    about = json.loads(hosts.call(host.hostname, "host", "status", timeout=config.remote.host_timeout))
    guests = running(hosts, host)
    with transaction(connection) as cursor:
        _refuse_strangers(cursor, host, guests)
        _refuse_silent(cursor, host)
    _refuse_others(host, about)
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


def _refuse_others(host: Host, about: Any) -> None:
    """One that was booted without its hypervisor would get nothing."""
    runs = about.get("hypervisor") if isinstance(about, dict) else None
    if host.hypervisor not in (None, runs):
        raise BadInput(
            f"{host.name} runs {runs!s:.20}, but the database has it as one of {host.hypervisor}",
            hint=f"Boot it as that, or: admin host set {host.name} --hypervisor …",
        )
