"""Fresh Debian servers, outside of the cluster: what an administrator begins with.

    with fresh.servers("one", "client") as site:    # or "one", "two", "three", "four"; release=13
        fresh.install("one", "invirt-all")          # apt's own order, all in one run
        fresh.adopt(site)                           # who uses what invirt-setup has made
        fresh.reboot("one")                         # in order: systemctl poweroff, then on again
        cluster.kill("one"); fresh.boot("one")      # a power cut
        cluster.as_user("alice", …)                 # on the client, when she is enrolled: adopt()

They have what an installer of Debian leaves: a name, an address, /etc/hosts with
all of them, apt sources.  Those are our archive and one with all of Debian's
packages that ours may want, so that apt installs as it does anywhere, and no
network is needed.  The client, of the cluster, has its users' programs; its name
server is the first fresh server, whose port 443 browsers of this machine reach,
too.  All are in one network with the guests-to-be, see invirt_lab.site.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from invirt.base.errors import InvirtError
from invirt_lab import certificates, cluster, host, lifecycle, realm, roles
from invirt_lab.progress import step
from invirt_lab.site import CLIENT, RELEASE, SETUP, Site, on_one


@contextmanager
def servers(first: str, *more: str, release: int = RELEASE) -> Iterator[Site]:
    """Boot servers for the length of the block; a site whose first server does everything.

    more: other fresh ones, and "client", on which users' programs are installed.
    Raises Busy where there is a lab.
    """
    host.require_root()
    names = (first, *more)
    site = on_one(first)
    with cluster.only_one() as lock:
        lifecycle.prepare()
        with step(f"making the servers' images, of Debian {release}"):
            layers = lifecycle.images_of_servers(release, servers=names)
        supervisor = cluster.start(layers, lock, site)
    try:
        with step(f"booting {', '.join(names)}"), ThreadPoolExecutor() as pool:
            list(pool.map(cluster.wait_booted, names))
        if "client" in names:
            install("client", CLIENT)
        yield site
    finally:
        cluster.down()
        supervisor.wait(60)


def install(name: str, *packages: str) -> None:
    """Install packages on a server by one run of apt; raises InvirtError with what apt said last."""
    with step(f"apt-get install {' '.join(packages)} on {name}"):
        roles.apt(name, "install", "--no-install-recommends", *packages)


def another(name: str) -> None:
    """Another server of that name, with nothing of what it was before."""
    cluster.kill(name)
    cluster.boot(name, anew=True)
    cluster.wait_booted(name)


def anew(name: str) -> None:
    """Another server of that name, with invirt-setup alone."""
    another(name)
    install(name, SETUP)


def keys(site: Site) -> None:
    """Realm, keytabs, certificates and invirt.yaml: the KDC and PostgreSQL's user are there."""
    with step("making the Kerberos realm, carrying keytabs"):
        realm.make(site)
    with step("making certificates"):
        certificates.make(site)
        roles.configure(site)


def adopt(site: Site) -> None:
    """The client's users in the realm that invirt-setup has made, the first of whom it knows already."""
    realm.adopt(site)
    certificates.adopt(site)
    roles.known_hosts(site)


def killed(name: str, seconds: float, *argv: str) -> None:
    """Begin a command on a server, and kill it with all that it has started after so many seconds."""
    bounds = (f"--property=RuntimeMaxSec={seconds}", "--property=KillSignal=SIGKILL")
    cluster.on(
        name,
        "systemd-run",
        "--wait",
        "--collect",
        "--quiet",
        *bounds,
        *argv,
        timeout=seconds + 120,
        check=False,
    )


def is_set_up(name: str) -> None:
    """Run invirt-setup again; raises InvirtError unless all is so, and no file is another one then."""
    written = "/etc/hosts /etc/krb5* /etc/invirt /etc/postgresql-common /etc/apache2 /var/lib/invirt-setup"
    look = f"find {written} -type f | sort | xargs md5sum"
    before = cluster.on(name, "sh", "-c", look).stdout
    said = cluster.on(name, "invirt-setup", timeout=300, check=False)
    changed = [line for line in said.stdout.splitlines() if line.endswith(": …")]
    if changed or cluster.on(name, "sh", "-c", look).stdout != before:
        raise InvirtError(f"invirt-setup has changed {name} once more", hint=said.stdout)


def reboot(name: str, timeout: float = 120) -> None:
    """Shut a server down in order, and boot it; its disk stays, its interfaces are new."""
    cluster.on(name, "systemctl", "poweroff", check=False)
    deadline = time.monotonic() + timeout
    while host.processes(name):
        if time.monotonic() > deadline:
            raise InvirtError(
                f"{name} doesn't shut down within {timeout:g} seconds", hint=str(host.RUN / "log" / name)
            )
        time.sleep(0.1)
    boot(name)


def boot(name: str) -> None:
    """Boot a server that is off; returns when it has started everything."""
    cluster.boot(name)
    cluster.wait_booted(name)
