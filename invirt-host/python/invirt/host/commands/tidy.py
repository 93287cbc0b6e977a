"""invirt-host-tidy: what has to go from time to time."""

from __future__ import annotations

import argparse

from invirt.base.cli import Command
from invirt.host import hypervisor, storage


def tidy(arguments: argparse.Namespace) -> None:
    """Purge the trash, and let the hypervisor clear away."""
    from invirt import config

    hypervisor.load().tidy(config.storage.trash_days)
    for volume in storage.load().purge(config.storage.trash_days):
        print(f"disk {volume.disk} of {volume.name} is gone, which operation {volume.operation} removed")


COMMAND = Command(
    name="invirt-host-tidy",
    section=8,
    summary="end what was long enough in the trash, cut consoles' logs",
    description="Run every five minutes by invirt-host-tidy.timer. "
    "A removed disk is kept for storage.trash_days of invirt.yaml, then wiped.",
    example="invirt-host-tidy",
    arguments=lambda parser: None,
    run=tidy,
)
