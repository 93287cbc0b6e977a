"""A real guest on its own link, in a network namespace of the test."""

from __future__ import annotations

import pytest

from invirt.base.errors import CommandFailed
from invirt.base.process import run
from invirt.host.domain import DomainConfig
from invirt.host.network import vif
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.qmp import connect
from invirt.host.waiting import wait

from .conftest import Inside, prompt, shown

IP, OTHER, GATEWAY = "192.0.2.17", "192.0.2.18", "192.0.2.1"


def test_guest_reaches_the_host_and_leaves_nothing(qemu: Qemu, remus: DomainConfig, inside: Inside) -> None:
    inside(run, ["ip", "link", "set", "lo", "up"])
    inside(run, ["ip", "address", "add", f"{GATEWAY}/32", "dev", "lo"])
    nic = f"mac=52:54:00:00:00:11, ip={IP}, vifname=inv17, script=vif-invirtroute"
    inside(qemu.create, DomainConfig({**remus.settings, "vif": [nic]}))
    assert prompt("d_remus")
    assert f"{IP} dev inv17" in inside(run, ["ip", "route"]).stdout

    with connect(Guest("d_remus").console, 40) as console:
        console.sendall(f"ip address add {IP}/24 dev eth0; ping -c 3 -W 2 {GATEWAY}\n".encode())
        assert b"3 packets received" in shown(console, b"packets received")
        console.sendall(f"ip address add {OTHER}/24 dev eth0; ping -c 2 -I {OTHER} {GATEWAY}\n".encode())
        assert b"0 packets received" in shown(console, b"packets received")
    inside(run, ["nft", "flush", "ruleset"])  # they are QEMU's, and stay as long as it lives
    [row] = inside(vif.counters)
    assert row["domain"] == "d_remus" and row["foreign_ip"] == 2
    with pytest.raises(CommandFailed, match="delete table netdev invirt_inv17"):
        inside(run, ["nft", "delete", "table", "netdev", "invirt_inv17"])

    qemu.destroy("d_remus")
    assert wait(lambda: "inv17" not in inside(run, ["ip", "link"]).stdout, 10)
    assert inside(run, ["ip", "route"]).stdout == ""
    assert wait(lambda: inside(vif.counters) == [], 10)
