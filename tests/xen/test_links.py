"""A guest's links on a real Xen: what it forges is dropped and counted, whatever becomes of the rules."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pexpect
import pytest

from invirt_lab.xen_host import GROUP, Xen
from tests.xen.test_guests import APPLIED, NAME, console, create, told

pytestmark = pytest.mark.nightly

NICS = [
    f"mac=52:54:00:00:00:1{one}, ip=192.0.2.{one}, vifname=inv{one}, script=vif-invirtroute" for one in (1, 2)
]
COUNTED = """
from invirt.host.network import vif
print(json.dumps({row["interface"]: row for row in vif.counters()}))
"""
UP = "ip link set {nic} up; ip address add 192.0.2.{n}/32 dev {nic}; ip route add 192.0.2.25{n} dev {nic}"
# By name of the counter that grows: what is typed, at the second of two links.
FORGED = {
    "foreign_ip": "ip address add 192.0.2.99/32 dev eth1; ping -c 2 -W 1 -I 192.0.2.99 192.0.2.252",
    "foreign_mac": "ip link set eth1 down; ip link set eth1 address 52:54:00:00:00:99; ip link set eth1 up; "
    "ip route add 192.0.2.252 dev eth1; ping -c 2 -W 1 192.0.2.252; ip link set eth1 down; "
    "ip link set eth1 address 52:54:00:00:00:12; ip link set eth1 up; ip route add 192.0.2.252 dev eth1",
    "closed_port": "nc -w 2 192.0.2.252 22 </dev/null",
}


@pytest.fixture(scope="module")
def host(xen: Xen) -> Iterator[Xen]:
    """With an address for each link, and all that rules need in the kernel: Xen waits 40 s for them."""
    xen.python(APPLIED)
    xen.sh("invirt-vif rules lo 52:54:00:00:00:01 192.0.2.1 | nft -c -f -")
    xen.sh("for n in 1 2; do ip address replace 192.0.2.25$n/32 dev lo; done")
    xen.sh(f"lvcreate -q -y -L 64M -n {NAME}_hda {GROUP}")
    yield xen
    xen.sh(f"xl destroy {NAME} 2>/dev/null || true")


def counted(host: Xen) -> dict[str, dict[str, int]]:
    return dict(json.loads(told(host, COUNTED)[0]))


def typed(guest: pexpect.spawn, command: str) -> None:
    guest.sendline(f"{command}; echo e''nd")
    guest.expect("end\r")


def forge(host: Xen, guest: pexpect.spawn) -> None:
    """Each is counted at its own link alone, and none passes."""
    for name, command in FORGED.items():
        before = counted(host)
        typed(guest, command)
        after = counted(host)
        assert after["inv2"][name] > before["inv2"].get(name, 0), (name, after)
        assert after["inv1"][name] == before["inv1"][name]


def test_what_a_guest_forges_at_either_of_its_links(host: Xen) -> None:
    create(host, vif=NICS)
    guest = console(host)
    typed(guest, "killall udhcpc")
    typed(guest, UP.format(nic="eth0", n=1))
    typed(guest, UP.format(nic="eth1", n=2))
    for one in (1, 2):
        assert "2 received" in host.sh(f"ping -c 2 -W 20 -I 192.0.2.25{one} 192.0.2.{one}")
    forge(host, guest)

    host.sh("systemd-run -q --unit rules invirt-host-observer --only rules; sleep 5; nft flush ruleset")
    host.sh("timeout 60 sh -c 'until [ $(nft list tables | grep -c invirt_inv) = 2 ]; do sleep 0.2; done'")
    assert "2 received" in host.sh("ping -c 2 -W 20 -I 192.0.2.252 192.0.2.2")
    forge(host, guest)

    told(host, "xen.destroy(NAME)")
    left = "ip -o link; nft list tables; ls /run/invirt/vif; ip route"
    host.sh(f"timeout 100 sh -c 'while ({left}) | grep -q inv[12]; do sleep 1; done'")


def test_a_pc_has_two_ends_of_a_link_each_guarded(host: Xen) -> None:
    """Its address leads to both, and of two that are connected to the better; afterwards nothing is left."""
    create(host, type="hvm", vif=NICS[:1], kernel=None, ramdisk=None, extra=None)
    ends = counted(host)
    assert ends.keys() == {"inv1", "inv1-emu"} and ends["inv1-emu"]["domain"] == NAME
    routes = [line.split() for line in host.sh("ip -o route show 192.0.2.1").splitlines()]
    assert [line[2] for line in routes] == ["inv1", "inv1-emu"] and routes[1][-2:] == ["metric", "2048"]
    told(host, "xen.destroy(NAME)")
    left = "ip -o link; nft list tables; ls /run/invirt/vif; ip route"
    host.sh(f"timeout 100 sh -c 'while ({left}) | grep -q inv1; do sleep 1; done'")
