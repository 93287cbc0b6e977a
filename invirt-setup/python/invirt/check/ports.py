"""Ports of other servers that this one calls."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from invirt import config
from invirt.base import knocking
from invirt.base.remctl import HOST_PORT, PORT
from invirt.check.findings import Finding, Findings, error
from invirt.check.server import Server

AT_ONCE = 16


def look(server: Server) -> Findings:
    """Those that the roles of this server need."""
    wanted = sorted(set(called(server)))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for found in pool.map(lambda one: _knock(*one), wanted):
            yield from found


def called(server: Server) -> Iterator[tuple[str, int]]:
    """Who is called at which port: docs/security.md has the same as a table."""
    if "database" not in server.roles and not config.database.hostname.startswith("/"):
        yield from ((name, config.database.port) for name in config.database.all)
    if "remote" in server.roles:
        yield from ((host, HOST_PORT) for host in server.hosts)
    if "web" in server.roles:
        yield config.remote.hostname, PORT
    if config.console.hostname and {"console", "web"} & set(server.roles):
        yield from ((host, config.console.port) for host in server.hosts)


def _knock(name: str, port: int) -> list[Finding]:
    try:
        knocking.greet(name, port)
    except OSError as failed:
        todo = (
            "Look there whether it listens (ss -ltn), whether its firewall lets this server in"
            " (nft list ruleset; network.servers), and what is between. It runs invirt-check, too."
        )
        return [error(f"{name}:{port}", f"it can't be reached from here: {failed.strerror or failed}", todo)]
    return []
