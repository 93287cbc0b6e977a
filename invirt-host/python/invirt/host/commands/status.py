"""remctl HOST host status: what this host is and has, for remote."""

from __future__ import annotations

import os
import time
from typing import Any

from invirt.base import tables
from invirt.base.cli import Command, Verb, Who
from invirt.base.names import machine_of
from invirt.host import loading


def status() -> dict[str, Any]:
    """The host's hypervisor and storage, what they can, its memory in MiB, how many guests run, its clock."""
    driver = loading.hypervisor()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    guests = [domain for domain in driver.domains() if machine_of(domain.name)]
    clock = time.time()  # seconds since 1970
    about = {"memory": memory, "cpus": os.cpu_count() or 1, "domains": len(guests), "clock": clock}
    return loading.about() | about | driver.status()


COMMAND = Command(
    name="invirt-host-status",
    section=8,
    summary="what this host is and has",
    description="Run by remctld for the remote server as `host`.",
    example="remctl host1.example.org host status",
    verbs=(
        Verb(
            "status",
            "the host's hypervisor and storage, what they can, memory in MiB, how many guests run, its clock",
            status,
            who=Who.REMOTE,
            shown=tables.one_line_json,
        ),
    ),
    remctl="host",
)
