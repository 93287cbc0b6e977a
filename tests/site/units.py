"""What runs on a server that has all roles, and what is wrong with one of any."""

from __future__ import annotations

import json
from typing import Any

from invirt_lab import cluster

# What each role runs for, once there is an invirt.yaml.
UNITS = (
    *("postgresql.service", "invirt-database-watch.service", "invirt-remconffs.service"),
    *("invirt-database-members.service", "invirt-database-mail.service"),
    *("invirt-operations.service", "invirt-remctld.socket", "invirt-host-remctld.socket"),
    *("invirt-host-observer.service", "invirt-host-limits.service", "invirt-host-consoles.service"),
    "conserver-server.service",
    *("invirt-dhcp-relay.service", "kea-dhcp4-server.service", "pdns.service", "krb5-kdc.service"),
    *("invirt-console-relay.service", "invirt-userdb.service", "invirt-consolefs.service"),
    *("apache2.service", "invirt-web-pages.service", "invirt-web-streams.service"),
)


def missing(server: str) -> list[str]:
    """The units that don't run there."""
    argv = ("systemctl", "list-units", "--plain", "--no-legend", "--state=active", *UNITS)
    running = {line.split()[0] for line in cluster.on(server, *argv).stdout.splitlines() if line}
    return [unit for unit in UNITS if unit not in running]


def wrong(server: str) -> list[dict[str, Any]]:
    """What invirt-check finds there, but that guests are emulated, as they may be here."""
    said = json.loads(cluster.on(server, "invirt-check", "--json", check=False).stdout)
    return [found for found in said["findings"] if (found["check"], found["where"]) != ("kvm", "/dev/kvm")]
