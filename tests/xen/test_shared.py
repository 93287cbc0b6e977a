"""Disks in a volume group of two real Xen hosts: locked for one, and for both only while a guest moves."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from invirt.base.errors import CommandFailed
from invirt_lab.xen_host import GROUP, Xen
from tests.xen import locks
from tests.xen.test_guests import CONFIG, NAME, create, told
from tests.xen.test_moves import DIES, know, move

pytestmark = pytest.mark.nightly

SETTINGS = {
    **CONFIG,
    "vif": [],
    "disk": [f"format=raw, vdev=hda, access=rw, target=/dev/{locks.GROUP}/{NAME}_hda"],
}
ACTS = f"""
disks, settings = Lvm({locks.GROUP!r}), json.loads({json.dumps(SETTINGS)!r})
acts = {{
    "grow": lambda: disks.resize("remus", "hda", 3),
    "rename": lambda: disks.rename("remus", "hda", "romulus", "hda"),
    "remove": lambda: disks.remove("remus", "hda", 7),
    "boot": lambda: xen.create(DomainConfig(settings)),
}}
def said(what):
    try:
        return acts[what]()
    except InvirtError as error:
        return f"{{type(error).__name__}}: {{error}}".replace("\\n", " ")
"""


def acts(xen: Xen, *what: str) -> list[str]:
    """What each leads to there."""
    return told(xen, f"{ACTS}\nfor what in {what}: print(said(what))")


def locked(xen: Xen) -> str:
    """How that host has the one volume that there is: "ex", "sh", or not at all; old ones are "un"."""
    return xen.sh("lvmlockctl -i | awk '/^LK LV/ && $3 != \"un\" {print $3}'").strip()


@pytest.fixture(scope="module")
def sharing(pair: tuple[Xen, Xen], tmp_path_factory: pytest.TempPathFactory) -> tuple[Xen, Xen]:
    """Hosts with a shared group, which know each other."""
    know(pair, tmp_path_factory.mktemp("certificates"))
    locks.share(pair)
    return pair


@pytest.fixture
def hosts(sharing: tuple[Xen, Xen]) -> Iterator[tuple[Xen, Xen]]:
    """remus runs on the first one."""
    first, _ = sharing
    told(first, ACTS + "disks.create('remus', 'hda', 1)")
    assert locked(first) == ""
    create(first, **SETTINGS)
    yield sharing
    for xen in sharing:  # the first one may be off
        xen.sh(f"xl destroy {NAME} || true; systemctl stop invirt-domain@{NAME}", check=False)
    sharing[1].sh(f"lvremove -q -y {locks.GROUP}")


def test_a_volume_is_one_hosts(hosts: tuple[Xen, Xen]) -> None:
    """LVM itself refuses what the other would do to it; whoever shares no group's locks may not share it."""
    first, second = hosts
    pool = 'pools.made(pools.Pool("default", True, "lvm", group, sharers=2))'
    script = f"from invirt.host.storage import pools\nfor group in {locks.GROUP!r}, {GROUP!r}: print({pool})"
    with pytest.raises(CommandFailed, match="2 hosts see the pool default.*overwrites without a word"):
        first.python(script)

    *refused, boot = acts(second, "grow", "rename", "remove", "boot")
    for said in refused:
        assert said.startswith("Busy: another host has a lock on it in the volume group shared"), said
    assert boot.startswith("CommandFailed: d_remus did not start") and "LV locked by other host" in boot
    assert NAME not in second.sh("xl list") and locked(second) == ""
    assert acts(first, "grow") == ["None"] and locked(first) == "ex"

    told(first, "xen.shutdown(NAME)")
    state = f"systemctl show -P ActiveState invirt-domain@{NAME}"
    first.sh(f"timeout 250 sh -c 'until [ $({state}) = inactive ]; do sleep 1; done'")
    assert locked(first) == ""
    assert acts(second, "boot") == ["None"] and locked(second) == "ex"


def test_a_move_shares_it_until_its_end(hosts: tuple[Xen, Xen]) -> None:
    """One whose target dies goes on, and its volume is the source's alone again."""
    first, second = hosts
    [said] = move(hosts, DIES, SETTINGS)
    assert "connection to the other host is lost" in said
    assert locked(second) == "sh", "what remote clears away"
    told(second, "xen.destroy(NAME)")
    assert locked(second) == ""
    told(first, "from invirt.host.moving import source\nsource.keep('remus')")
    assert locked(first) == "ex"

    assert move(hosts, "", SETTINGS) == ["moved"]
    told(second, "from invirt.host.moving import target\ntarget.arrive('remus')")  # as remote does at last
    assert locked(first) == "" and locked(second) == "ex"
    assert acts(second, "grow") == ["None"]


def test_no_lock_passes_before_the_power_is_off(hosts: tuple[Xen, Xen]) -> None:
    """A host that stands still keeps what it has, whoever waits, until somebody says that it is off."""
    first, second = hosts
    first.sh("pkill -STOP -x corosync")
    second.sh(locks.DOWN)
    for said in acts(second, "grow", "boot"):
        assert said.startswith(
            ("Unreachable: LVM gives no answer", "CommandFailed: d_remus did not start")
        ), said
    first.cut_power()
    second.sh("dlm_tool fence_ack 1")
    assert acts(second, "boot") == ["None"] and locked(second) == "ex"
