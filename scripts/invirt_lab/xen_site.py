"""Two Xen hosts in the site of a lab that is up: emulated, on the network of its servers.

    with xen_site.hosts(folder) as (xen1, xen2):
        cluster.on("xen1", "xm", "list")
        cluster.as_user("alice", "remctl", …)       # machines of the type TYPE run there

Each has its disks in a volume group of its own, the pool of its name.  The lab's other hosts are as they
were; hosts of Xen's are no part of it any more when the block ends, and the database keeps their rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from invirt.base.process import run
from invirt_lab import certificates, cluster, realm, roles, xen_host
from invirt_lab.progress import step
from invirt_lab.site import GATEWAY, WITH_XEN, XEN, hosts_file
from invirt_lab.xen_host import GROUP, Cable, Xen

TYPE = "pvh"
HOST_MEMORY = 400  # MiB for guests
SLOW = 600.0  # seconds for what a host does by many processes: it is emulated


@contextmanager
def hosts(folder: Path) -> Iterator[tuple[Xen, Xen]]:
    """They, for the length of the block; folder: new, with a short name."""
    with step("starting two Xen hosts"), xen_host.two(folder, _cable) as both:
        try:
            for server, xen in zip(XEN.values(), both, strict=True):
                xen.plug(server.name, server.address, server.number)
                xen.sh(f"ip route replace default via {GATEWAY}")
                cluster.elsewhere[server.name] = xen.command
            _join()
            yield both
        finally:
            cluster.elsewhere.clear()


def _cable(folder: Path, _: Path) -> Cable:
    """To the servers' bridge."""
    within, name = cluster.in_network(), folder.name
    run([*within, "ip", "tuntap", "add", name, "mode", "tap"])
    run([*within, "ip", "link", "set", name, "up", "master", "br0"])
    return Cable(f"tap,ifname={name},script=no,downscript=no", within)


def _join() -> None:
    """What an administrator does with two further hosts."""
    known = hosts_file(WITH_XEN.all())
    with ThreadPoolExecutor() as pool:
        list(
            pool.map(
                lambda name: cluster.on(name, "sh", "-c", "cat >/etc/hosts", input=known), WITH_XEN.servers
            )
        )
    for server in XEN.values():
        realm.join(server, WITH_XEN)
    certificates.add_hosts(WITH_XEN, XEN)
    with step("telling all servers of two hosts with Xen"):
        roles.configure(WITH_XEN)
        roles.apply(WITH_XEN, SLOW)
        for words in _settings():
            cluster.on(WITH_XEN.database, "invirt-admin", *words)


def _settings() -> Iterator[tuple[str, ...]]:
    """Words of invirt-admin."""
    for name, server in XEN.items():
        told = ("--hostname", server.fqdn, "--memory", str(HOST_MEMORY), "--hypervisor", "xen")
        yield ("host", "add", name, *told)
        yield ("pool", "hosts", "default", "--remove", name)
        yield ("pool", "add", name, "--driver", "lvm", "--place", GROUP, "--host", name)
    yield ("type", "add", TYPE, "--virt", "pvh", "--append", "console=hvc0 quiet", "--needs", "xen")
