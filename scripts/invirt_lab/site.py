"""What the lab consists of: servers, addresses, users."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

DOMAIN = "invirt.test"
REALM = "INVIRT.TEST"
NETWORK = "10.86.0"  # /24
GATEWAY = f"{NETWORK}.1"
REVERSE_ZONE = "0.86.10.in-addr.arpa"
GUESTS = (f"{NETWORK}.101", f"{NETWORK}.140")
USERS = ("alice", "bob")
ADMIN = "root/admin"
CLIENT = "invirt-client"  # the users' package, for which no invirt.yaml is needed
ANEW = "anew"  # what the supervisor is told, beside a server's name, for another in its place
BOUNDED = "bounded"  # the same, for one whose systemd bounds CPUs
SETUP = "invirt-setup"  # which a test installs on every server with a role
DOOR = 8443  # the port of this machine's 127.0.0.1 that leads to the pages, unless it is taken
SHARED = "/srv/invirt"  # the hosts' common folder: volumes, the guests' kernel
ARCHIVE = "/srv/archive"  # the signed apt archive, as the servers see it
BEFORE = "/srv/before"  # the packages of the version before, as the servers see them
DEBIAN = "/srv/debian"  # on fresh servers: an archive of what they may want of Debian
RELEASES = {12: "bookworm", 13: "trixie"}  # of Debian, that servers can be
RELEASE = 12  # what they are unless told otherwise


@dataclass(frozen=True)
class Server:
    """One server of the lab.

    packages: Debian's, that its administrator wants there.  role: Invirt's
    package, installed from the archive.  devices: of this machine, to be seen
    in the server.  shared: sees the hosts' common folder.  spare: booted, but
    without its role until a test wants it.  fresh: nothing is installed, see
    invirt_lab.fresh; packages are those that an administrator may want.  later: packages of
    ours that may be installed there beside the role.  late: Debian's that are put there when it is
    booted, as no other lab needs them.
    """

    name: str
    number: int
    packages: tuple[str, ...] = ()
    role: str = ""
    devices: tuple[str, ...] = ()
    shared: bool = False
    spare: bool = False
    fresh: bool = False
    later: tuple[str, ...] = ()
    late: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """Its IPv4 address, in NETWORK."""
        return f"{NETWORK}.{self.number}"

    @property
    def fqdn(self) -> str:
        """Its name with the domain."""
        return f"{self.name}.{DOMAIN}"


def _host(name: str, number: int) -> Server:
    devices = ("/dev/kvm", "/dev/net/tun")
    packages, role, later = ("qemu-system-x86",), "invirt-host", ("invirt-kernel",)
    return Server(name, number, packages, role, devices=devices, shared=True, later=later)


def _database(name: str, number: int) -> Server:
    return Server(name, number, packages=("gpg", "gpg-agent"), role="invirt-database-server")


def _remote(name: str, number: int, spare: bool = False) -> Server:
    packages, role = ("remctl-client",), "invirt-remote-server"
    return Server(name, number, packages, role, devices=("/dev/fuse",), spare=spare)


def _fresh(name: str, number: int) -> Server:
    devices = ("/dev/kvm", "/dev/net/tun", "/dev/fuse")
    administration = ("krb5-kdc", "krb5-admin-server", "remctl-client", "bind9-dnsutils", "curl", "wget")
    packages = ("qemu-system-x86", *administration)
    return Server(name, number, packages, devices=devices, shared=True, fresh=True)


CLUSTER = {
    server.name: server
    for server in (
        Server("kdc", 2, packages=("krb5-kdc", "krb5-admin-server")),
        _database("db", 3),
        _remote("remote", 4),
        _remote("remote2", 8, spare=True),
        Server("dns", 5, role="invirt-dns-server"),
        Server("dhcp", 6, role="invirt-dhcp-server"),
        Server("console", 7, role="invirt-console-server", devices=("/dev/fuse",)),
        _host("host1", 11),
        _host("host2", 12),
        Server("web", 9, role="invirt-web-server"),
        Server("client", 20, packages=("remctl-client", "bind9-dnsutils", "curl"), role=CLIENT),
    )
}
LATER = {
    "db2": _database("db2", 10),
    "db3": _database("db3", 13),
    # Guests reach it, so it is none of network.servers.
    "install": Server("install", 14, role="invirt-autoinstaller-server"),
    "afs": Server("afs", 15, late=("openafs-dbserver", "openafs-krb5")),  # see invirt_lab.cell
    "mail": Server("mail", 16, late=("python3-aiosmtpd",)),
}  # not even booted until a test wants it: see roles.add_server()
# Emulated machines of their own, see invirt_lab.xen_site.
XEN = {name: Server(name, number, role="invirt-host") for number, name in enumerate(("xen1", "xen2"), 21)}
NAMES = ("one", "two", "three", "four", "five", "six")
FRESH = {server.name: server for server in (_fresh(name, 31 + number) for number, name in enumerate(NAMES))}
SERVERS = {**CLUSTER, **LATER, **FRESH, **XEN}
HOSTS = ("host1", "host2")
CONSOLE = "console"
WEB = "web"


@dataclass(frozen=True)
class Site:
    """Which servers there are, by their names, and which of them does what."""

    servers: tuple[str, ...] = tuple(CLUSTER)
    kdc: str = "kdc"
    database: str = "db"
    remotes: tuple[str, ...] = ("remote", "remote2")
    dns: str = "dns"
    dhcp: str = "dhcp"
    console: str = CONSOLE
    web: str = WEB
    hosts: tuple[str, ...] = HOSTS

    def all(self) -> list[Server]:
        """The servers."""
        return [SERVERS[name] for name in self.servers]


USUAL = Site()
WITH_XEN = Site((*CLUSTER, *XEN), hosts=(*HOSTS, *XEN))


def on_one(name: str) -> Site:
    """A site whose one server does everything; users sit at the client."""
    return Site((name, "client"), name, name, (name,), name, name, name, name, (name,))


def hosts_file(servers: Iterable[Server]) -> str:
    """/etc/hosts of every server."""
    lines = ["127.0.0.1 localhost"]
    lines += [f"{server.address} {server.fqdn} {server.name}" for server in servers]
    return "\n".join(lines) + "\n"


def resolver_file(server: Server, dns: str) -> str:
    """/etc/resolv.conf: users find machines by name; servers know each other by hosts_file()."""
    return f"search {DOMAIN}\nnameserver {dns}\n" if server.name == "client" else ""
