"""The ports that a role needs, and who has one of them already.

Each role's postinst asks (`invirt-config ports ROLE`) before it starts anything, so
that a server on which something else listens is refused when the role is installed,
and not found out later; `invirt-config apply` tells of it, too.  A port is taken if it
can't be bound as the role binds it and another unit than the role's own has it.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from invirt import config
from invirt.base.errors import BadConfig, Busy
from invirt.base.process import run
from invirt.base.remctl import HOST_PORT, PORT
from invirt.config import schema

ROLES = ("database", "remote", "host", "dns", "dhcp", "console", "web")
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
NAMES = {TCP: "TCP", UDP: "UDP"}
ALL_HEAR = "255.255.255.255"
SITES = Path("/etc/apache2/sites-enabled")
# What is to be done about those that Debian or its users have often.
HINTS = {
    "systemd-networkd.service": "Put DHCPServer=no into its .network files, and: networkctl reload",
    "libvirtd.service": "virsh net-destroy default; virsh net-autostart default --disable",
    "systemd-resolved.service": (
        "Put DNSStubListener=no into /etc/systemd/resolved.conf, below [Resolve], and:"
        " systemctl restart systemd-resolved"
    ),
}
_LISTENS = {TCP: "0A", UDP: "07"}  # states of /proc/net
_PIDS = "[1-9]*"


@dataclass(frozen=True)
class Need:
    """A port of a role, and the units of ours that may have it.

    address: the only one at which it is bound, if not at all.
    """

    port: int
    units: tuple[str, ...]
    kind: socket.SocketKind = TCP
    address: str = ""


def needs(role: str) -> list[Need]:
    """A role's ports, as invirt.yaml has them, or by default where there is none."""
    dhcp = ("kea-dhcp4-server.service", "invirt-dhcp-relay.service")
    found = {
        "database": [Need(_database_port(), ("postgresql@*.service",))],
        "remote": [Need(PORT, ("invirt-remctld*",)), Need(9373, ("invirt-metrics.service",))],
        "host": [
            Need(HOST_PORT, ("invirt-host-remctld*",)),
            # conserver gives it up when our package's drop-in counts.
            Need(_console_port(), ("invirt-host-consoles.*", "conserver-server.service")),
            Need(_move_port(), ("invirt-host-moving.*",)),
            Need(67, dhcp, UDP, ALL_HEAR),
        ],
        "dns": [Need(53, ("pdns.service",)), Need(53, ("pdns.service",), UDP)],
        "dhcp": [Need(67, dhcp, UDP)],
        "console": [Need(22, ("ssh*", "session-*.scope"))],
        "web": [Need(port, ("apache2.service",)) for port in (80, 443, *_certificate_port())],
    }
    return found[role]


def _known() -> schema.Config | None:
    try:
        return config.current()
    except BadConfig:
        return None


def _database_port() -> int:
    known = _known()
    return known.database.port if known else schema.Database.port


def _console_port() -> int:
    known = _known()
    return known.console.port if known else schema.Console.port


def _move_port() -> int:
    known = _known()
    return known.hypervisor.move_port if known else schema.Hypervisor.move_port


def _certificate_port() -> list[int]:
    known = _known()
    return [known.web.certificate.port] if known and "certificate" in known.web.doors else []


def require(role: str) -> None:
    """Raises Busy, which says who has a port that the role needs."""
    for need in needs(role):
        if not _free(need):
            holders = sorted(set(_holders(need)))
            others = [one for one in holders if not any(fnmatch(one, unit) for unit in need.units)]
            if others or not holders:
                raise _taken(role, need, others)
    if role == "web":
        _require_apache()


def taken(roles: Iterable[str]) -> list[str]:
    """What require() says of each, in one line; nothing where all have their ports."""
    said = []
    for role in roles:
        try:
            require(role)
        except Busy as error:
            said.append(error.message)
    return said


def _taken(role: str, need: Need, holders: list[str]) -> Busy:
    who = " and ".join(holders) or "something that can't be seen from here"
    stop = next((HINTS[one] for one in holders if one in HINTS), "")
    units = [one for one in holders if one.endswith((".service", ".socket"))]
    stop = stop or (f"systemctl disable --now {' '.join(units)}" if units else "End that")
    return Busy(
        f"port {need.port} ({NAMES[need.kind]}), which the role {role} needs, is taken by {who}",
        hint=f"{stop}, then: dpkg --configure -a. Or have the role on another server.",
    )


def _require_apache() -> None:
    """Apache serves our site alone: it may speak for everybody."""
    wanted = re.compile(r"^\s*<VirtualHost\s[^>]*:443", re.MULTILINE | re.IGNORECASE)
    for site in sorted(SITES.glob("*.conf")):
        if site.stem != "invirt-web" and wanted.search(site.read_text(errors="replace")):
            raise Busy(
                f"Apache has another site at port 443, which the role web needs: {site}",
                hint=f"a2dissite {site.stem}, then: dpkg --configure -a. Or have the role on another server.",
            )


def _free(need: Need) -> bool:
    """Whether it can be bound, as the role would."""
    families = [socket.AF_INET] if need.address else [socket.AF_INET, socket.AF_INET6]
    return all(_binds(family, need) for family in families)


def _binds(family: socket.AddressFamily, need: Need) -> bool:
    try:
        with socket.socket(family, need.kind) as tried:
            if need.kind == TCP:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            tried.bind((need.address, need.port))
            if need.kind == TCP:
                tried.listen(1)
    except OSError as error:
        return error.errno != errno.EADDRINUSE  # a kernel without IPv6, say, keeps nobody out
    return True


def _holders(need: Need) -> Iterator[str]:
    """The units, else programs, that listen at the port, whatever the address."""
    inodes = set(_inodes(need))
    for links in Path("/proc").glob(f"{_PIDS}/fd"):
        process = links.parent
        with suppress(OSError):  # it has ended
            if any(_inode(link) in inodes for link in links.iterdir()):
                yield from _unit(process, need.port)


def _inodes(need: Need) -> Iterator[str]:
    for version in ("", "6"):
        with suppress(FileNotFoundError):
            for line in Path(f"/proc/net/{NAMES[need.kind].lower()}{version}").read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == need.port and fields[3] == _LISTENS[need.kind]:
                    yield fields[9]


def _inode(link: Path) -> str:
    with suppress(OSError):
        target = str(link.readlink())
        return target[len("socket:[") : -1] if target.startswith("socket:[") else ""
    return ""


def _unit(process: Path, port: int) -> Iterator[str]:
    """What a process belongs to; systemd itself has sockets for others."""
    if process.name == "1":
        yield from _sockets(port)
        return
    groups = (process / "cgroup").read_text().splitlines()
    parts = [part for group in groups for part in group.rpartition(":")[2].split("/")]
    units = [part for part in parts if part.endswith((".service", ".scope"))]
    yield units[-1] if units else f"{(process / 'comm').read_text().strip()} (process {process.name})"


def _sockets(port: int) -> Iterator[str]:
    listed = run(["systemctl", "list-sockets", "--no-legend", "--plain"], check=False).stdout
    for line in listed.splitlines():
        fields = line.split()
        if len(fields) > 1 and fields[0].rpartition(":")[2] == str(port):
            yield fields[1]
