"""Answers: the name server knows the site's zones, the DHCP server listens."""

from __future__ import annotations

from invirt import config
from invirt.base import knocking
from invirt.check.findings import Findings, error
from invirt.check.server import Server

DHCP = 67
SOCKETS = "/proc/net/udp"
TO_ALL = "FFFFFFFF"  # where the relay listens, if this server is a host, too


def dns(server: Server) -> Findings:
    """It is asked for each zone at its own address, as others ask it."""
    for zone in dict.fromkeys((config.site.domain, *config.dns.zones)):
        try:
            knocking.resolve(server.name, zone)
        except OSError as failed:
            what = f"it gives no answer for {zone}: {failed}"
            todo = "journalctl -u pdns; systemctl restart pdns. Without the database it says SERVFAIL."
            yield error(f"name server {server.name}", what, todo)


def dhcp(server: Server) -> Findings:
    """Whether Kea has its port; what it would answer from, the database, is looked at by `database`."""
    lines = server.file(SOCKETS).read_text().splitlines()[1:]
    places = [line.split()[1].split(":") for line in lines]
    if not any(int(port, 16) == DHCP and address != TO_ALL for address, port in places):
        todo = "ss -lunp says who has it. journalctl -u kea-dhcp4-server; systemctl restart kea-dhcp4-server"
        yield error("kea-dhcp4-server.service", f"nothing listens on UDP port {DHCP}", todo)
