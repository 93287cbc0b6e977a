"""Two Xen hosts in the site of a lab that is up: emulated, on the network of its servers.

    with xen_site.hosts(folder) as (xen1, xen2):
        cluster.on("xen1", "xm", "list")
        cluster.as_user("alice", "remctl", …)       # machines of the type TYPE run there

Each has its disks in a volume group of its own, the pool of its name.  The lab's other hosts are as they
were; hosts of Xen's are no part of it any more when the block ends, and the database keeps their rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from invirt.base.errors import CommandFailed
from invirt.base.process import run
from invirt.base.remctl import HOST_PORT
from invirt.host.waiting import wait
from invirt_lab import certificates, cluster, realm, roles, xen_host
from invirt_lab.progress import step
from invirt_lab.site import CLUSTER, GATEWAY, HOSTS, SERVERS, USUAL, WITH_XEN, XEN, Server, Site, hosts_file
from invirt_lab.xen_host import GROUP, Cable, Xen

TYPE = "pvh"
HOST_MEMORY = 400  # MiB for guests
# Of remote servers: how long others may take to answer once the quickest has, and what takes no time.
REMOTE = "/usr/lib/python3/dist-packages/invirt/remote"
PATIENT = (("PATIENCE", "120.0", f"{REMOTE}/lines.py"), ("CALL", "300", f"{REMOTE}/operations/model.py"))
PATIENTLY = 'grep -q "^$0 = " "$2"; sed -i "s/^$0 = [0-9.]*/$0 = $1/" "$2"'
# Else an emulated host would do nothing but tell what runs.
SELDOM = """\
folder=/etc/systemd/system/invirt-reconcile.timer.d
mkdir -p $folder
printf '[Timer]\\nOnUnitInactiveSec=\\nOnActiveSec=10\\nOnUnitInactiveSec=60\\n' >$folder/seldom.conf
systemctl daemon-reload
systemctl restart invirt-reconcile.timer
"""
# As remote asks a host, but for as long as it takes.
ASK = ("env", "KRB5_CLIENT_KTNAME=/etc/krb5.keytab", "KRB5CCNAME=MEMORY:", "remctl", "-p", str(HOST_PORT))
SLOW = 600.0  # seconds for what a host does by many processes: it is emulated
SOON = 15.0  # seconds in which one answers that does nothing else


@contextmanager
def hosts(folder: Path) -> Iterator[tuple[Xen, Xen]]:
    """They, for the length of the block; folder: new, with a short name."""
    with (
        step("starting two Xen hosts"),
        xen_host.two(folder, _cable) as both,
        _reached(dict(zip(XEN.values(), both, strict=True))),
    ):
        _prepare(WITH_XEN, XEN)
        with step("telling all servers of two hosts with Xen"):
            roles.apply(WITH_XEN, SLOW)
            for name, server in XEN.items():
                told = ("--hostname", server.fqdn, "--memory", str(HOST_MEMORY), "--hypervisor", "xen")
                if add("host", name, *told):
                    _told("pool", "hosts", "default", "--remove", name)
                add("pool", name, "--driver", "lvm", "--place", GROUP, "--host", name)
            add_type()
        with step("waiting until they do nothing else than answer"), ThreadPoolExecutor() as pool:
            list(pool.map(_answered, XEN.values()))
        yield both


@contextmanager
def bare(folder: Path) -> Iterator[Xen]:
    """The first of them as Debian with Xen alone, for the length of the block.

    Its keys, certificates and invirt.yaml are there; the database doesn't know it, and Invirt's packages
    wait in ARCHIVE.
    """
    server = XEN["xen1"]
    site = Site((*CLUSTER, server.name), hosts=(*HOSTS, server.name))
    with xen_host.bare(folder, _cable(folder, folder)) as xen, _reached({server: xen}):
        _prepare(site, {server.name: server})
        roles.apply(USUAL)
        yield xen


@contextmanager
def _reached(hosts: Mapping[Server, Xen]) -> Iterator[None]:
    """By the servers' network, and by cluster.on()."""
    try:
        for server, xen in hosts.items():
            xen.plug(server.name, server.address, server.number, GATEWAY)
            cluster.elsewhere[server.name] = xen.command
        yield
    finally:
        cluster.elsewhere.clear()


def _answered(server: Server) -> None:
    """When it answers soon: its programs, which have all begun at once, take it some minutes."""
    words = (*ASK, "-s", f"host/{server.fqdn}", server.fqdn, "host", "status")

    def soon() -> bool:
        began = time.monotonic()
        cluster.on(WITH_XEN.remotes[0], *words, timeout=SLOW)
        return time.monotonic() - began < SOON

    if not wait(soon, SLOW):
        raise CommandFailed(f"{server.name} is busy yet, after {SLOW:.0f} s", hint="scripts/lab log")


def add_type() -> None:
    """Of machines that run there alone."""
    add("type", TYPE, "--virt", "pvh", "--append", "console=hvc0 quiet", "--needs", "xen")


def add(kind: str, name: str, *words: str) -> bool:
    """Tell the database of something; whether it is new there: hosts that are gone have left their rows."""
    listed = cluster.on(WITH_XEN.database, "invirt-admin", kind, "list").stdout
    if name in (line.partition(" ")[0] for line in listed.splitlines()):
        return False
    _told(kind, "add", name, *words)
    return True


def _told(*words: str) -> None:
    """By invirt-admin."""
    cluster.on(WITH_XEN.database, "invirt-admin", *words)


@contextmanager
def booted_again(name: str, xen: Xen) -> Iterator[None]:
    """One of them whose power was cut, for the length of the block."""
    with xen_host.again(xen) as host:
        cluster.elsewhere[name] = host.command
        yield
        del cluster.elsewhere[name]


def _cable(folder: Path, _: Path) -> Cable:
    """To the servers' bridge; of hosts that are gone it is there still."""
    within, name = cluster.in_network(), folder.name
    if run([*within, "ip", "link", "show", name], check=False).returncode:
        run([*within, "ip", "tuntap", "add", name, "mode", "tap"])
    run([*within, "ip", "link", "set", name, "up", "master", "br0"])
    return Cable(f"tap,ifname={name},script=no,downscript=no", within)


def _prepare(site: Site, hosts: Mapping[str, Server]) -> None:
    """What further hosts are given before they have their role, and all servers of them."""
    known = hosts_file(site.all())
    with ThreadPoolExecutor() as pool:
        list(
            pool.map(lambda name: cluster.on(name, "sh", "-c", "cat >/etc/hosts", input=known), site.servers)
        )
    for name in (name for name in site.remotes if not SERVERS[name].spare):
        for words in PATIENT:
            cluster.on(name, "sh", "-ec", PATIENTLY, *words)
        cluster.on(name, "sh", "-ec", SELDOM)
    for server in hosts.values():
        realm.join(server, site)
    certificates.add_hosts(site, hosts)
    roles.configure(site)
