"""invirt-host-consoles: the consoles of this host, for the servers that may have them."""

from __future__ import annotations

from invirt import config
from invirt.base import certificates, listening
from invirt.base.cli import SITE, Command
from invirt.host.console.consoles import Door
from invirt.host.console.spool import Store

PROGRAM = "invirt-host-consoles"
MOST = 1024  # connections at once


def _run() -> None:
    console = config.console
    context = certificates.context(console.ca, console.credentials, server=True)
    viewers = frozenset(filter(None, (config.web.hostname,)))
    trusted = viewers | frozenset(filter(None, (console.hostname,)))
    door = Door(context, trusted, console.port, Store(), viewers, config.hypervisor.uid_base)
    listening.serve(PROGRAM, door.serve, MOST)


COMMAND = Command(
    name=PROGRAM,
    section=8,
    summary="give the console server this host's consoles, and the web server its screens, too",
    description=(
        "Listens on `console.port` of invirt.yaml, on the socket that systemd passes, and speaks TLS. Whose\n"
        "certificate is not the console server's, or the web server's, is turned away. The others are\n"
        "joined to conserver, which nobody else reaches. Escapes that would stop the log or lead elsewhere\n"
        "don't pass; what a slow reader has yet to take is kept, 64 MiB for each and 1 GiB for all. The web\n"
        "server alone is joined to guests' screens, which are VNC sockets that no other user reaches."
    ),
    files={
        **SITE,
        "/etc/invirt/console/server.pem": "this host's certificate and key",
        "/etc/invirt/console/ca.pem": "whose certificates are taken",
        "/var/log/invirt/consoles/NUMBER.log": "what a machine's console said",
    },
    example="systemctl status invirt-host-consoles",
    run=_run,
    shown=None,
)
