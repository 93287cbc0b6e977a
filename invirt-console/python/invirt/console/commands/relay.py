"""invirt-console-relay: carries logins to the consoles on the hosts."""

from __future__ import annotations

from pathlib import Path

from invirt import config
from invirt.base import certificates, listening
from invirt.base.cli import SITE, Command
from invirt.console.relay import Relay, Seats

PROGRAM = "invirt-console-relay"
HOMES = Path("/consolefs")
MOST = 1024  # connections at once, those without a seat too


def _run() -> None:
    console = config.console
    relay = Relay(
        certificates.context(console.ca, console.credentials, server=False),
        range(console.uid_base, console.uid_base + console.uid_count),
        HOMES,
        console.port,
        Seats(console.sessions_a_machine, console.sessions),
    )
    listening.serve(PROGRAM, relay.serve, MOST)


COMMAND = Command(
    name=PROGRAM,
    section=8,
    summary="carry the machines' logins to their consoles",
    description=(
        "Listens on the socket that systemd passes, for the group invirt-console and root. Holds the\n"
        "certificate and key by which hosts know the console server; no login can read them. A machine's\n"
        "login gets its own machine's console, root any; each host must show a certificate of its name."
    ),
    files={
        **SITE,
        "/etc/invirt/console/server.pem": "the certificate and key by which hosts know the console server",
        "/etc/invirt/console/ca.pem": "whose certificates are taken",
    },
    example="systemctl status invirt-console-relay",
    run=_run,
    shown=None,
)
