"""Services: those of this server's roles run, and none has failed."""

from __future__ import annotations

from collections.abc import Iterable

from invirt import config
from invirt.base.process import run
from invirt.check.findings import Finding, Findings, error, warning
from invirt.check.server import Server

PATIENCE = 10  # seconds

# What must be active; of names with a bar between them, one.
EVERYWHERE = ("invirt-config.service", "invirt-firewall.service", "invirt-tickets.timer")
SEEK = "invirt-database-seek@{}.service"
UNITS = {
    "database": (
        "postgresql.service",
        "invirt-database-setup.service",
        "invirt-database-watch.service",
        "invirt-database-fence.service",
        "invirt-database-members.service",
        "invirt-database-mail.service",
    ),
    "remote": (
        *("invirt-remconffs.service", "invirt-remctld.socket", "invirt-remote-warm.socket"),
        *("invirt-remote-warm.service", "invirt-operations.service", "invirt-followers.service"),
        *("invirt-upkeep.service", "invirt-metrics.service", "invirt-reconcile.timer", "invirt-trash.timer"),
        SEEK.format("remote"),
    ),
    "host": (
        *("invirt-host-remctld.socket", "invirt-host-warm.socket", "invirt-host-warm.service"),
        *("invirt-host-observer.service", "invirt-host-limits.service"),
        *("invirt-host-probe.service", "invirt-host-tidy.timer"),
        *("conserver-server.service", SEEK.format("host")),
    ),
    "console": (
        *("invirt-consolefs.service", "invirt-userdb.socket", "invirt-console-relay.socket"),
        *("invirt-console-relay.service", "ssh.service|ssh.socket"),
        SEEK.format("console"),
    ),
    "web": (
        *("apache2.service", "invirt-web-pages.socket", "invirt-web-pages.service"),
        *("invirt-web-streams.socket", "invirt-web-streams.service", "invirt-web-names.path"),
        SEEK.format("web"),
    ),
    "dns": ("pdns.service", SEEK.format("dns")),
    "dhcp": ("kea-dhcp4-server.service", SEEK.format("dhcp")),
}
# Where hosts have certificates, as those of a site with consoles do.
CONSOLES = (
    *("invirt-host-consoles.socket", "invirt-host-consoles.service"),
    *("invirt-host-moving.socket", "invirt-host-moving.service"),
)
RELAY = ("invirt-dhcp-relay.service",)  # where there is a DHCP server to relay to


def wanted(roles: Iterable[str]) -> list[str]:
    """The units that must be active with these roles."""
    units = [*EVERYWHERE, *(unit for role in roles for unit in UNITS[role])]
    if "host" in roles:
        units += CONSOLES if config.console.hostname else ()
        units += RELAY if config.dhcp.servers else ()
    return units


def look(server: Server) -> Findings:
    """What should run and doesn't; then whatever else has failed."""
    units = wanted(server.roles)
    states = _states(sorted({name for unit in units for name in unit.split("|")}))
    for unit in units:
        yield from _look(unit, [states[name] for name in unit.split("|")])
    for name in _failed():
        if not any(name in unit.split("|") for unit in units):
            found = error if name.startswith("invirt-") else warning
            yield found(name, "it has failed", f"journalctl -u {name}; then systemctl reset-failed {name}")


def _look(unit: str, states: list[str]) -> list[Finding]:
    name = unit.partition("|")[0]
    if "active" in states or "reloading" in states:
        return []
    if "activating" in states:
        return [warning(name, "it is still starting, or starts again and again", f"journalctl -u {name}")]
    return [error(name, f"it is {states[0]}", f"journalctl -u {name}; systemctl restart {name}")]


def _states(units: list[str]) -> dict[str, str]:
    said = run(["systemctl", "show", "--property=ActiveState", "--value", "--", *units], timeout=PATIENCE)
    return dict(zip(units, said.stdout.split(), strict=True))


def _failed() -> list[str]:
    argv = ["systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--full"]
    return [line.split()[0] for line in run(argv, timeout=PATIENCE).stdout.splitlines() if line.split()]
