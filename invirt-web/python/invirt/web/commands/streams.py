"""invirt-web-streams: what stays open for long, by aiohttp, on the socket that systemd passes."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from aiohttp import web

from invirt import config
from invirt.base.cli import Command
from invirt.base.listening import PASSED
from invirt.web import session
from invirt.web.streams.app import Streams
from invirt.web.streams.line import Hosts

ENDING = 2.0  # seconds that streams have to end; browsers come again


def _hosts() -> Hosts:
    """How hosts are reached; systemd puts the files ready where no other service reads them."""
    console = config.console
    if given := os.environ.get("CREDENTIALS_DIRECTORY"):
        return Hosts(Path(given, "console_ca.pem"), Path(given, "console_server.pem"), console.port)
    return Hosts(Path(console.ca), Path(console.credentials), console.port)


def _run() -> None:
    given = os.environ.get("CREDENTIALS_DIRECTORY") or os.environ.get("STATE_DIRECTORY", session.STATE)
    streams = Streams(session.key(Path(given)), _hosts())
    with socket.socket(fileno=PASSED) as listening:
        web.run_app(
            streams.app(), sock=listening, access_log=None, print=lambda *_: None, shutdown_timeout=ENDING
        )


COMMAND = Command(
    name="invirt-web-streams",
    section=8,
    summary="what stays open for long: progress, consoles, screens",
    description=(
        "Run by systemd, behind Apache, on a socket that Apache alone reaches. Who somebody is, the\n"
        "session of invirt-web-pages says; what they may see, the database's views, when a stream is opened\n"
        "and every ten seconds. One process carries all streams."
    ),
    example="systemctl status invirt-web-streams",
    run=_run,
    shown=None,
)
