"""From nothing to a lab that is up."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from invirt_lab import certificates, cluster, guest, host, images, packages, realm, roles
from invirt_lab.progress import say, step
from invirt_lab.site import CLUSTER, DEBIAN, LATER, RELEASE, SERVERS, SETUP, USUAL, Server

SMALLER = {"linux-image-amd64": "linux-image-cloud-amd64"}  # either will do


def up(release: int = RELEASE, keep: bool = False, before: bool = False) -> None:
    """Bring the lab up, saying what is done; raises Busy if there is one.

    release: of Debian, on all servers.  keep: leave it up, to be looked at,
    where something goes wrong after the boot.  before: of the version before, to
    be upgraded.
    """
    host.require_root()
    with cluster.only_one() as lock:
        prepare()
        with step(f"making the servers' images, of Debian {release}"):
            layers = images_of_servers(release, before)
        with step(f"booting {', '.join(CLUSTER)}"):
            supervisor = cluster.start(layers, lock)
            if keep:
                cluster.ready(supervisor)
            with ThreadPoolExecutor() as pool:
                list(pool.map(cluster.wait_booted, CLUSTER))
        with step("making the Kerberos realm, carrying keytabs"):
            realm.make(USUAL)
        with step("making certificates"):
            certificates.make(USUAL, before)
        roles.configure(USUAL, before)
        roles.install(before)
        with step("telling the database of hosts, addresses and types"):
            roles.settings(USUAL)
            roles.known_hosts(USUAL)
        cluster.ready(supervisor)
    say("the lab is up")


def prepare() -> None:
    """All that the servers need of this machine: programs, the archive, the guests' kernel."""
    programs({})
    packages.publish()
    guest.build()


def programs(more: Mapping[str, str]) -> None:
    """Install what is missing on this machine: see host.missing()."""
    if missing := host.missing(more):
        with step(f"installing {', '.join(missing)} on this machine"):
            host.install(missing)


def images_of_servers(
    release: int = RELEASE, before: bool = False, servers: Sequence[str] = (*CLUSTER, *LATER)
) -> dict[str, list[Path]]:
    """The layers of each server's root, the topmost first.

    Debian's part only: the role itself is installed in the server, each time.
    before: with what the version before needs, too.
    """
    base = images.base(release)
    wanted = {_image(SERVERS[name], before): SERVERS[name] for name in servers}

    def made(name: str) -> list[Path]:
        server = wanted[name]
        if not (needed := _wanted(server, before)):
            return [base]
        return [images.layer(name, base, needed, DEBIAN if server.fresh else "") / "upper", base]

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        layers = dict(zip(wanted, pool.map(made, wanted), strict=True))
    return {name: layers[_image(SERVERS[name], before)] for name in servers}


def _image(server: Server, before: bool) -> str:
    """The layer's name: one of its own only where the version before needs more."""
    if server.fresh:
        return "fresh"
    more = before and _wanted(server, True) != _wanted(server, False)
    return f"{'before-' if more else ''}{server.role or server.name}"


def _wanted(server: Server, before: bool) -> list[str]:
    roles = (
        packages.published() if server.fresh else [server.role, SETUP, *server.later] if server.role else []
    )
    folders = [packages.POOL, *([packages.BEFORE] if before else [])]
    needed = (debian for role in roles for folder in folders for debian in packages.needed(role, folder)[1])
    return sorted({*server.packages, *(SMALLER.get(name, name) for name in needed)})
