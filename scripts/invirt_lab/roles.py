"""What an administrator does to make the servers Invirt's.

The same invirt.yaml on every server, each role by apt from the signed
archive, then the hosts, the guests' addresses and a type of machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from invirt.base.errors import InvirtError
from invirt_lab import packages
from invirt_lab.cluster import on
from invirt_lab.progress import step
from invirt_lab.site import (
    BEFORE,
    CLIENT,
    CONSOLE,
    DOMAIN,
    GATEWAY,
    GUESTS,
    HOSTS,
    REALM,
    REVERSE_ZONE,
    SERVERS,
    SHARED,
    WEB,
    Server,
)

GUEST_KERNEL = f"{SHARED}/guest/vmlinuz"
GUEST_INITRD = f"{SHARED}/guest/initrd"
GUEST_APPEND = "console=ttyS0 quiet mitigations=off no_timer_check"
HOST_MEMORY = 1024  # MiB for guests
UPGRADES = (("db",), ("remote",), HOSTS, (CONSOLE,), ("dns", "dhcp"))  # the guide's order

_NEW = "  address_hold: 5\n"  # which the version before doesn't know
_CONFIG = f"""\
# The same on every server.
site:
  domain: {DOMAIN}
  realm: {REALM}
  contact: root@{DOMAIN}
database:
  hostname: {SERVERS["db"].fqdn}
remote:
  hostname: {SERVERS["remote"].fqdn}
  servers: [{SERVERS["remote"].fqdn}, {SERVERS["remote2"].fqdn}]
hypervisor:
  driver: qemu
  probe_kernel: {GUEST_KERNEL}
  probe_initrd: {GUEST_INITRD}
storage:
  driver: file
  directory: {SHARED}/volumes
network:
  gateway: {GATEWAY}
{_NEW}  dns: [{SERVERS["dns"].address}]
  servers: [{", ".join(server.address for server in SERVERS.values())}]
dns:
  servers: [{SERVERS["dns"].fqdn}]
  zones: [{REVERSE_ZONE}]
dhcp:
  servers: [{SERVERS["dhcp"].fqdn}]
console:
  hostname: {SERVERS[CONSOLE].fqdn}
web:
  hostname: {SERVERS[WEB].fqdn}
"""

_SETTINGS = (
    ("range", "add", *GUESTS, "--prefix", "24", "--gateway", GATEWAY),
    ("type", "add", "linux", "--kernel", GUEST_KERNEL, "--initrd", GUEST_INITRD, "--append", GUEST_APPEND),
    *(
        ("host", "add", name, "--hostname", SERVERS[name].fqdn, "--memory", str(HOST_MEMORY))
        for name in HOSTS
    ),
    *(("record", "add", SERVERS[name].fqdn, "A", SERVERS[name].address) for name in ("dns", "remote", WEB)),
    (
        "record",
        "add",
        f"_invirt.{DOMAIN}",
        "TXT",
        f'"remote={SERVERS["remote"].fqdn} console={SERVERS[CONSOLE].fqdn} realm={REALM}"',
    ),
)


def configure(before: bool = False) -> None:
    """Write invirt.yaml on every server that will have a role; before: as the version before takes it."""
    for server in _with_role():
        if server.role != CLIENT:
            write_config(server, _CONFIG.replace(_NEW, "") if before else _CONFIG)


def write_config(server: Server, config: str = _CONFIG) -> None:
    """Put invirt.yaml on one server."""
    on(server.name, "sh", "-c", "mkdir -p /etc/invirt; cat >/etc/invirt/invirt.yaml", input=config)


def install_spare(name: str) -> None:
    """Give a spare server its role."""
    write_config(SERVERS[name])
    install_role(SERVERS[name])


def install(before: bool = False) -> None:
    """Install the roles: the database first, then all that ask it, side by side.

    before: the version before, whose packages lie in a folder.
    """
    database = SERVERS["db"]
    with step(f"apt-get install {database.role} on db"):
        install_role(database, before)
    others = [server for server in _with_role() if server is not database]
    shown = "apt-get install " + ", ".join(f"{server.role} on {server.name}" for server in others)
    with step(shown), ThreadPoolExecutor() as pool:
        list(pool.map(lambda server: install_role(server, before), others))


def settings() -> None:
    """Tell the database of the hosts, the guests' addresses and the type of machines."""
    for arguments in _SETTINGS:
        on("db", "invirt-admin", *arguments)


def known_hosts() -> None:
    """The client's users know the console server by its key."""
    key = on(CONSOLE, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").stdout
    known = f"{SERVERS[CONSOLE].fqdn} {key}"
    on("client", "sh", "-c", "cat >/etc/ssh/ssh_known_hosts", input=known)


def _with_role() -> list[Server]:
    return [server for server in SERVERS.values() if server.role and not server.spare]


def install_role(server: Server, before: bool = False) -> None:
    """Install a server's role by apt; raises InvirtError with what apt said last."""
    debs, _ = packages.needed(server.role, packages.BEFORE)
    wanted = [f"{BEFORE}/{deb.name}" for deb in debs] if before else [server.role]
    _apt(server.name, "install", "--no-install-recommends", *wanted)


def add(name: str, package: str) -> None:
    """Install a package on a server that is up."""
    _apt(name, "install", "--no-install-recommends", package)


def upgrade(names: Sequence[str]) -> None:
    """Upgrade servers to what the archive holds, side by side; see install_role()."""
    with step(f"apt-get full-upgrade on {', '.join(names)}"), ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: _apt(name, "full-upgrade"), names))


def _apt(name: str, *words: str) -> None:
    script = (
        'exec 2>&1 </dev/null; export DEBIAN_FRONTEND=noninteractive;apt-get -q update && apt-get -q -y "$@"'
    )
    done = on(name, "sh", "-c", script, "sh", *words, timeout=600, check=False)
    if done.returncode != 0:
        said = "\n".join(done.stdout.splitlines()[-25:])
        raise InvirtError(f"apt-get {' '.join(words)} failed on {name}", hint=said)
