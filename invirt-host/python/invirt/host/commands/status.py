"""remctl HOST host status: what this host is and has, for remote."""

from __future__ import annotations

import argparse
import json
import os

from invirt.base.cli import Command
from invirt.host import loading
from invirt.host.domain import machine_name


def status(arguments: argparse.Namespace) -> None:
    """Print the host's hypervisor, its memory in MiB and how many guests run."""
    from invirt import config

    driver = loading.hypervisor()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    guests = [domain for domain in driver.domains() if machine_name(domain.name)]
    about = {"memory": memory, "cpus": os.cpu_count() or 1, "domains": len(guests)}
    print(json.dumps({"driver": config.hypervisor.driver} | about | driver.status()))


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    summary = "the host's hypervisor, memory in MiB, and how many guests run"
    verbs.add_parser("status", help=summary, description=summary).set_defaults(verb=status)


COMMAND = Command(
    name="invirt-host-status",
    section=8,
    summary="what this host is and has",
    description="Run by remctld for the remote server as `host`.",
    example="remctl host1.example.org host status",
    arguments=_arguments,
    run=lambda arguments: arguments.verb(arguments),
    remctl="host",
)
