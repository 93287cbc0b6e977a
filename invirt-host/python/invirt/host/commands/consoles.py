"""invirt-host-consoles: the consoles of this host, for the servers that may have them."""

from __future__ import annotations

import argparse
import os
import socket
import threading
from pathlib import Path

from invirt import config
from invirt.base import certificates, log
from invirt.base.cli import Command
from invirt.host.console.consoles import Door, Refused
from invirt.host.console.spool import Store

PROGRAM = "invirt-host-consoles"
FIRST_FD = 3  # sd_listen_fds(3)
MOST = 1024  # connections at once


def _credential(file: str) -> str:
    """Where systemd has put the file for us, or where it is."""
    given = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"), Path(file).name)
    return str(given if given.exists() else file)


def _run(arguments: argparse.Namespace) -> None:
    console = config.console
    files = _credential(console.ca), _credential(console.credentials)
    trusted = frozenset(name for name in (console.hostname, config.web.hostname) if name)
    door = Door(certificates.context(*files, server=True), trusted, console.port, Store())
    places = threading.BoundedSemaphore(MOST)

    def serve(connection: socket.socket) -> None:
        try:
            with connection:
                door.serve(connection)
        except (OSError, Refused) as error:
            log.write(f"turned away: {error}", log.WARNING, program=PROGRAM)
        finally:
            places.release()

    with socket.socket(fileno=FIRST_FD) as listening:
        while True:
            places.acquire()
            threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()


COMMAND = Command(
    name=PROGRAM,
    section=8,
    summary="give the console server this host's consoles",
    description=(
        "Listens on `console.port` of invirt.yaml, on the socket that systemd passes, and speaks TLS. Whose\n"
        "certificate is not the console server's, or the web server's, is turned away. The others are\n"
        "joined to conserver, which nobody else reaches. Escapes that would stop the log or lead elsewhere\n"
        "don't pass; what a slow reader has yet to take is kept, 64 MiB for each and 1 GiB for all."
    ),
    example="systemctl status invirt-host-consoles",
    arguments=lambda parser: None,
    run=_run,
)
