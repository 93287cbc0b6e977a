"""From nothing to a lab that is up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from invirt_lab import cluster, host, images, realm
from invirt_lab.progress import say, step
from invirt_lab.site import SERVERS


def machine() -> None:
    """Install what the lab needs on this machine, if anything."""
    if packages := host.missing():
        with step(f"installing {', '.join(packages)} on this machine"):
            host.install(packages)


def up() -> None:
    """Bring the lab up, saying what is done; raises Busy if there is one."""
    host.require_root()
    with cluster.only_one() as lock:
        machine()
        with step("the servers' images"):
            base = images.base()
            layers = {
                server.name: [images.layer(server.name, base, list(server.packages)) / "upper", base]
                if server.packages
                else [base]
                for server in SERVERS.values()
            }
        with step(f"booting {', '.join(SERVERS)}"):
            supervisor = cluster.start(layers, lock)
            with ThreadPoolExecutor() as pool:
                list(pool.map(cluster.wait_booted, SERVERS))
        with step("the Kerberos realm"):
            realm.make()
        cluster.ready(supervisor)
    say("the lab is up")
