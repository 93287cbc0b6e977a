"""invirt-console-relay: carries logins to the consoles on the hosts."""

from __future__ import annotations

import argparse
import os
import socket
import threading
from pathlib import Path

from invirt import config
from invirt.base import certificates, log
from invirt.base.cli import Command
from invirt.console.relay import Relay, Seats

PROGRAM = "invirt-console-relay"
HOMES = Path("/consolefs")
FIRST_FD = 3  # sd_listen_fds(3)


def _run(arguments: argparse.Namespace) -> None:
    console = config.console
    given = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"))
    files = [given / Path(file).name for file in (console.ca, console.credentials)]
    ca, credentials = files if all(file.exists() for file in files) else (console.ca, console.credentials)
    relay = Relay(
        certificates.context(str(ca), str(credentials), server=False),
        range(console.uid_base, console.uid_base + console.uid_count),
        HOMES,
        console.port,
        Seats(console.sessions_a_machine, console.sessions),
    )

    def serve(control: socket.socket) -> None:
        try:
            with control:
                relay.serve(control)
        except OSError as error:
            log.write(f"lost a login: {error}", log.WARNING, program=PROGRAM)

    with socket.socket(fileno=FIRST_FD) as listening:
        while True:
            threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()


COMMAND = Command(
    name=PROGRAM,
    section=8,
    summary="carry the machines' logins to their consoles",
    description=(
        "Listens on the socket that systemd passes, for the group invirt-console and root. Holds the\n"
        "certificate and key by which hosts know the console server; no login can read them. A machine's\n"
        "login gets its own machine's console, root any; each host must show a certificate of its name."
    ),
    example="systemctl status invirt-console-relay",
    arguments=lambda parser: None,
    run=_run,
)
