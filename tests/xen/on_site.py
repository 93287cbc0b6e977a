"""A site of which two hosts run Xen, for the tests of a file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from invirt_lab import cluster, installing, xen_site
from invirt_lab.moving import administrator
from invirt_lab.site import XEN
from invirt_lab.xen_host import Xen
from invirt_lab.xen_site import HOST_MEMORY, TYPE
from tests.lab.conftest import lab, machine, tidy
from tests.lab.users import Lab
from tests.xen import locks

__all__ = ["lab", "machine", "tidy"]  # fixtures
Make = Callable[..., str]
SLOW = 600.0  # seconds until an emulated host has done something long
LONG = 1500.0  # seconds for a move between emulated hosts
ROOMY = "600"  # MiB for guests, where one has 512
SAN = "san"  # the pool of both
ADDRESSES = {name: server.address for name, server in XEN.items()}


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[tuple[Xen, Xen]]:
    """Two of Xen's in the lab, which bob administers."""
    with (
        tempfile.TemporaryDirectory(prefix="xen.") as folder,
        xen_site.hosts(Path(folder)) as both,
        administrator(),
    ):
        yield both


@pytest.fixture
def remus(hosts: tuple[Xen, Xen], lab: Lab, machine: Make) -> str:
    """Alice's machine that runs on the first of them, with its disk in a group of that one's."""
    name = machine("--type", TYPE, "--memory", "96", "--pool", "xen1")
    lab.remctl("alice", "control", name, "create", timeout=SLOW)
    return name


@pytest.fixture
def debian(hosts: tuple[Xen, Xen], lab: Lab, machine: Make) -> Iterator[tuple[str, str]]:
    """Alice's machine on the first of them that has had Debian installed, and boots; root's password."""
    installing.make()
    lab.admin("host", "set", "xen1", "--memory", ROOMY)
    name = machine("--type", TYPE, "--memory", "512", "--disk", "2", "--pool", "xen1")
    words = ("control", name, "install", "--autoinstall", installing.SYSTEM, "--yes")
    yield name, installing.password_of(lab.remctl("alice", *words, timeout=LONG))
    lab.try_remctl("alice", "control", name, "destroy", timeout=SLOW)  # it may be off
    lab.admin("host", "set", "xen1", "--memory", str(HOST_MEMORY))
    lab.admin("autoinstall", "remove", installing.SYSTEM)
    cluster.kill(installing.SERVER)


@pytest.fixture(scope="module")
def san(hosts: tuple[Xen, Xen], lab: Lab) -> str:
    """A pool in a volume group that both hosts see."""
    locks.share(hosts, ADDRESSES)
    seen = [word for name in XEN for word in ("--host", name)]
    xen_site.add("pool", SAN, "--driver", "lvm", "--place", locks.GROUP, *seen)
    return SAN
