"""What runs on a server that has all roles."""

from __future__ import annotations

from invirt_lab import cluster

# What each role runs for, once there is an invirt.yaml.
UNITS = (
    *("postgresql.service", "invirt-database-watch.service", "invirt-remconffs.service"),
    "invirt-database-members.service",
    *("invirt-operations.service", "invirt-remctld.socket", "invirt-host-remctld.socket"),
    *("invirt-host-observer.service", "invirt-host-consoles.service", "conserver-server.service"),
    *("invirt-dhcp-relay.service", "kea-dhcp4-server.service", "pdns.service", "krb5-kdc.service"),
    *("invirt-console-relay.service", "invirt-userdb.service", "invirt-consolefs.service"),
    *("apache2.service", "invirt-web-pages.service", "invirt-web-streams.service"),
)


def missing(server: str) -> list[str]:
    """The units that don't run there."""
    argv = ("systemctl", "list-units", "--plain", "--no-legend", "--state=active", *UNITS)
    running = {line.split()[0] for line in cluster.on(server, *argv).stdout.splitlines() if line}
    return [unit for unit in UNITS if unit not in running]
