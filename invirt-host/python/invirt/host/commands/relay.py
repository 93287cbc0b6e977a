"""invirt-dhcp-relay: run by its unit on each host."""

from __future__ import annotations

import socket

from invirt import config
from invirt.base.cli import Command
from invirt.base.errors import BadConfig, Unreachable
from invirt.host.network.relay import Relay


def run() -> None:
    """Relay until stopped; ends at once where the site has no DHCP server."""
    if not config.dhcp.servers:
        return
    try:
        relay = Relay([_address(server) for server in config.dhcp.servers])
    except OSError as error:
        raise Unreachable(f"no way to the DHCP servers {', '.join(config.dhcp.servers)}: {error}") from error
    relay.serve()


def _address(server: str) -> str:
    """Kea listens at its server's own addresses; 127.0.1.1, as Debian's installer has it, is none."""
    found = socket.gethostbyname(server)
    if found.startswith("127."):
        raise BadConfig(
            f"{server} of dhcp.servers is {found} here, where no DHCP server listens",
            hint=f"Have its own address beside its name in /etc/hosts, in place of {found}.",
        )
    return found


COMMAND = Command(
    name="invirt-dhcp-relay",
    section=8,
    summary="carry guests' DHCP requests to the DHCP servers",
    description="Run by invirt-dhcp-relay.service. The servers are dhcp.servers of invirt.yaml.",
    example="systemctl status invirt-dhcp-relay",
    run=run,
    shown=None,
)
