"""What an administrator does to make the servers Invirt's.

The same invirt.yaml on every server, each role by apt from the signed
archive, then the hosts, the guests' addresses and a type of machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from invirt.base.errors import InvirtError
from invirt.base.process import run
from invirt_lab import cluster, images, packages, realm
from invirt_lab.cluster import on
from invirt_lab.progress import step
from invirt_lab.site import (
    BEFORE,
    CLIENT,
    CLUSTER,
    CONSOLE,
    DOMAIN,
    GATEWAY,
    GUESTS,
    HOSTS,
    REALM,
    REVERSE_ZONE,
    SERVERS,
    SHARED,
    USERS,
    USUAL,
    XEN,
    Server,
    Site,
)

GUEST_KERNEL = f"{SHARED}/guest/vmlinuz"
GUEST_INITRD = f"{SHARED}/guest/initrd"
GUEST_APPEND = "console=ttyS0 quiet mitigations=off no_timer_check"
HOST_MEMORY = 1024  # MiB for guests
UPGRADES = (("db",), ("remote",), HOSTS, (CONSOLE,), ("dns", "dhcp"))  # the guide's order

# A layer has no files of the two names, which are the server's own.
_ON_TOP = 'tar -C "$0" --exclude ./etc/resolv.conf --exclude ./etc/hosts -c . | tar -C "$1" -x'
# Of a site with emulated hosts, where a question takes as long as work does elsewhere.
_PATIENT = "  host_timeout: 120\n  work_timeout: 1200\n"
_NEW = "  address_hold: 5\n"  # which the version before doesn't know


def config(site: Site) -> str:
    """invirt.yaml, the same on every server."""
    remotes = [SERVERS[name].fqdn for name in site.remotes]
    emulated = bool({*site.hosts} & {*XEN})
    return f"""\
# The same on every server.
site:
  domain: {DOMAIN}
  realm: {REALM}
  contact: root@{DOMAIN}
database:
  hostname: {SERVERS[site.database].fqdn}
remote:
  hostname: {remotes[0]}
  servers: [{", ".join(remotes)}]
{_PATIENT if emulated else ""}hypervisor:
  driver: {"auto" if emulated else "qemu"}
  probe_kernel: {GUEST_KERNEL}
  probe_initrd: {GUEST_INITRD}
storage:
  driver: file
  directory: {SHARED}/volumes
network:
  gateway: {GATEWAY}
{_NEW}  dns: [{SERVERS[site.dns].address}]
  servers: [{", ".join(server.address for server in site.all())}]
dns:
  servers: [{SERVERS[site.dns].fqdn}]
  zones: [{REVERSE_ZONE}]
dhcp:
  servers: [{SERVERS[site.dhcp].fqdn}]
console:
  hostname: {SERVERS[site.console].fqdn}
web:
  hostname: {SERVERS[site.web].fqdn}
"""


def _settings(site: Site) -> Iterator[tuple[str, ...]]:
    """What an administrator tells the database: words of invirt-admin."""
    yield ("range", "add", *GUESTS, "--prefix", "24", "--gateway", GATEWAY)
    boots = ("--kernel", GUEST_KERNEL, "--initrd", GUEST_INITRD, "--append", GUEST_APPEND)
    yield ("type", "add", "linux", *boots)
    for name in site.hosts:
        yield ("host", "add", name, "--hostname", SERVERS[name].fqdn, "--memory", str(HOST_MEMORY))
    for name in dict.fromkeys((site.dns, site.remotes[0], site.web)):
        yield ("record", "add", SERVERS[name].fqdn, "A", SERVERS[name].address)
    remote, console = SERVERS[site.remotes[0]].fqdn, SERVERS[site.console].fqdn
    told = f'"remote={remote} console={console} realm={REALM}"'
    yield ("record", "add", f"_invirt.{DOMAIN}", "TXT", told)


def configure(site: Site, before: bool = False) -> None:
    """Write invirt.yaml on every server that will have a role; before: as the version before takes it."""
    text = config(site).replace(_NEW if before else "", "")
    for server in site.all():
        if (server.role or server.fresh) and server.role != CLIENT and not server.spare:
            write_config(server, text)


def apply(site: Site, timeout: float = 120) -> None:
    """Have it counted, on all at once."""
    _everywhere(site, "invirt-config", "apply", timeout=timeout)


def _everywhere(site: Site, *argv: str, input: str | None = None, timeout: float = 120) -> None:
    """On every server that has invirt.yaml, at once."""
    names = [server.name for server in site.all() if server.role not in ("", CLIENT) and not server.spare]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: on(name, *argv, input=input, timeout=timeout), names))


def write_config(server: Server, text: str = "") -> None:
    """Put invirt.yaml on one server; text: another than the cluster's."""
    written = text or config(USUAL)
    on(server.name, "sh", "-c", "mkdir -p /etc/invirt; cat >/etc/invirt/invirt.yaml", input=written)


def configure_further(text: str) -> None:
    """Add that to invirt.yaml on every server that has one, and apply it, on all at once."""
    script = "cat >>/etc/invirt/invirt.yaml; invirt-config apply"
    _everywhere(USUAL, "sh", "-ec", script, input=text)


def install_spare(name: str) -> None:
    """Give a spare server its role."""
    write_config(SERVERS[name])
    install_role(SERVERS[name])


def add_server(name: str) -> None:
    """Boot a further server of the database, with its keys, and without invirt.yaml and its role."""
    boot_later(name)
    realm.join_database(SERVERS[name], USUAL)


def boot_later(name: str) -> None:
    """Boot a server of LATER."""
    if late := SERVERS[name].late:
        layer = images.layer(name, images.base(cluster.release()), [*late])
        run(["sh", "-c", _ON_TOP, f"{layer}/upper", str(cluster.root(name))])
    cluster.boot(name)
    cluster.wait_booted(name)


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


def settings(site: Site) -> None:
    """Tell the database of the hosts, the guests' addresses and the type of machines."""
    for arguments in _settings(site):
        on(site.database, "invirt-admin", *arguments)


def answers() -> str:
    """The same for invirt-setup, on one server that does everything."""
    return (
        f"domain: {DOMAIN}\nrealm: {REALM}\n"
        f"addresses: {{gateway: {GATEWAY}, first: {GUESTS[0]}, last: {GUESTS[1]}}}\n"
        f"user: {USERS[0]}\nmemory: {HOST_MEMORY}\n"
        f'boot: {{kernel: {GUEST_KERNEL}, initrd: {GUEST_INITRD}, append: "{GUEST_APPEND}"}}\n'
        f"disks: {SHARED}/volumes\nshared: true\n"
    )


def known_hosts(site: Site) -> None:
    """The client's users know the console server by its key."""
    key = on(site.console, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").stdout
    known = f"{SERVERS[site.console].fqdn} {key}"
    on("client", "sh", "-c", "cat >/etc/ssh/ssh_known_hosts", input=known)


def _with_role() -> list[Server]:
    return [server for server in CLUSTER.values() if server.role and not server.spare]


def install_role(server: Server, before: bool = False) -> None:
    """Install a server's role by apt; raises InvirtError with what apt said last."""
    debs, _ = packages.needed(server.role, packages.BEFORE)
    wanted = [f"{BEFORE}/{deb.name}" for deb in debs] if before else [server.role]
    apt(server.name, "install", "--no-install-recommends", *wanted)


def add(name: str, package: str) -> None:
    """Install a package on a server that is up."""
    apt(name, "install", "--no-install-recommends", package)


def upgrade(names: Sequence[str]) -> None:
    """Upgrade servers to what the archive holds, side by side; see install_role()."""
    with step(f"apt-get full-upgrade on {', '.join(names)}"), ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: apt(name, "full-upgrade"), names))


def apt(name: str, *words: str) -> None:
    """apt-get update, and apt-get on a server; raises InvirtError with what it said last."""
    script = (
        'exec 2>&1 </dev/null; export DEBIAN_FRONTEND=noninteractive;apt-get -q update && apt-get -q -y "$@"'
    )
    done = on(name, "sh", "-c", script, "sh", *words, timeout=600, check=False)
    if done.returncode != 0:
        said = "\n".join(done.stdout.splitlines()[-25:])
        raise InvirtError(f"apt-get {' '.join(words)} failed on {name}", hint=said)
