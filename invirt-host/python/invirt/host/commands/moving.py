"""invirt-host-moving: where guests come in from other hosts."""

from __future__ import annotations

from invirt.base import listening
from invirt.base.cli import SITE, Command
from invirt.host.moving import target

PROGRAM = "invirt-host-moving"
MOST = 16  # guests at once


def _run() -> None:
    listening.serve(PROGRAM, target.serve, MOST)


COMMAND = Command(
    name=PROGRAM,
    section=8,
    summary="take in guests, and disks, that move here from other hosts",
    description=(
        "Listens on `hypervisor.move_port` of invirt.yaml, on the socket that systemd passes, by TLS.\n"
        "Only a host is heard that remote has named for just that machine (`domain receive`), and only what\n"
        "the database allows the machine comes in. The guest waits, no address leads to it, until the\n"
        "other host has handed it over."
    ),
    files={
        **SITE,
        "/etc/invirt/console/server.pem": "this host's certificate and key",
        "/etc/invirt/console/ca.pem": "whose certificates are taken",
        "/var/lib/invirt/moves/NAME": "how the last move of a machine stands here",
        "/var/lib/invirt/copies/NAME_DISK": "which host may fill a disk, or has",
    },
    example="systemctl status invirt-host-moving",
    run=_run,
    shown=None,
)
