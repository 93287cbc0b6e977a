"""A bare Debian with Xen becomes a host of a site by what the administrator's guide says."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from invirt_lab import console, xen_site
from invirt_lab.site import XEN
from invirt_lab.xen_host import GROUP, Xen
from invirt_lab.xen_site import HOST_MEMORY, TYPE
from tests.lab.conftest import lab, machine, tidy
from tests.lab.users import Lab
from tests.site.guide import block

__all__ = ["lab", "machine", "tidy"]  # fixtures
SLOW = 900.0  # seconds for what an emulated host does
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3 * SLOW)]
HOST, ROLE, DATABASE = BLOCKS = (
    *("a Xen host", "a Xen host, with invirt.yaml"),
    "the database server, of a Xen host",
)
NAMES = {
    "/dev/sdb": "/dev/vdb",
    "host3.example.org": XEN["xen1"].fqdn,
    "host3": "xen1",
    "60000": f"{HOST_MEMORY}",
}


@pytest.fixture
def debian(lab: Lab) -> Iterator[Xen]:
    """It has been told what it is to be."""
    with tempfile.TemporaryDirectory(prefix="xen.") as folder, xen_site.bare(Path(folder)) as host:
        yield host


def test_it_becomes_a_host(debian: Xen, lab: Lab, machine: Callable[..., str]) -> None:
    """A machine runs there, with its disk in the host's own group."""
    debian.sh(block(HOST, NAMES), timeout=SLOW)
    loader = debian.sh("cat /boot/grub/grub.cfg")
    assert "multiboot2" in loader and "dom0_mem=4G,max:4G" in loader
    assert 'GNU/Linux, with Xen hypervisor"' in next(re.finditer(r"else\n *set default=.*", loader))[0]
    debian.sh(block(ROLE, NAMES), timeout=SLOW)
    for words in block(DATABASE, NAMES).splitlines():
        lab.on("db", *words.split())
    xen_site.add_type()
    name = machine("--type", TYPE, "--memory", "96")
    lab.remctl("alice", "control", name, "create", timeout=SLOW)
    assert "is running on xen1" in lab.remctl("alice", "control", name, "status")
    assert name in console.ask_over_ssh("alice", name, "hostname", SLOW)
    assert debian.sh(f"lvs --noheadings -o lv_name {GROUP}").split() == [f"d_{name}_hda"]
