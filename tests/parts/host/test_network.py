"""A real guest on its own link, in a network namespace of the test."""

from __future__ import annotations

import os

import pytest

from invirt.base.errors import CommandFailed, NotFound
from invirt.base.process import run
from invirt.host.domain import DomainConfig
from invirt.host.network import vif
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.qmp import Qmp, connect
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


def test_cards_come_and_go_while_the_guest_runs(qemu: Qemu, remus: DomainConfig, inside: Inside) -> None:
    """Of a guest that was booted without any; what died amid it is no hindrance."""
    inside(run, ["ip", "link", "set", "lo", "up"])
    inside(run, ["ip", "address", "add", f"{GATEWAY}/32", "dev", "lo"])
    inside(qemu.create, remus)
    nic = f"mac=52:54:00:00:00:11, ip={IP}, vifname=inv17, script=vif-invirtroute"
    wanted = DomainConfig({**remus.settings, "vif": [nic]})
    assert prompt("d_remus")
    guest = Guest("d_remus")
    with Qmp(guest.qmp) as qmp:  # a host's process that was killed before the card was in
        tap = inside(vif.tap, "inv17")
        qmp.hand("inv17", tap)
        os.close(tap)
        qmp("netdev_add", type="tap", id="inv17", fd="inv17")
    with connect(guest.console, 40) as console:

        def ask(text: str, answer: bytes) -> bytes:
            console.sendall(f"{text}\n".encode())
            return shown(console, answer)

        for _ in range(2):  # again: the same
            inside(qemu.plug, wanted, "inv17")
        ask(
            "until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done; cat /sys/class/net/eth0/address", b":00:11"
        )
        assert f"{IP} dev inv17" in inside(run, ["ip", "route"]).stdout
        ask(
            f"ip link set eth0 up; ip address add {IP}/24 dev eth0; ping -c 3 -W 2 {GATEWAY}",
            b"3 packets rec",
        )
        ask(f"ip address add {OTHER}/24 dev eth0; ping -c 2 -I {OTHER} {GATEWAY}", b"0 packets rec")
        [row] = inside(vif.counters)
        assert row["domain"] == "d_remus" and row["foreign_ip"] == 2  # its rules, owned as those of the boot
        with pytest.raises(CommandFailed, match="delete table netdev invirt_inv17"):
            inside(run, ["nft", "delete", "table", "netdev", "invirt_inv17"])

        assert wait(lambda: inside(qemu.unplug, "d_remus", "inv17", ""), 60)
        assert "eth0" not in ask("ls /sys/class/net; echo d$((6*7))ne", b"d42ne").decode()
    assert "inv17" not in inside(run, ["ip", "link"]).stdout and inside(run, ["ip", "route"]).stdout == ""
    assert inside(vif.counters) == [] and inside(vif.links) == {}

    with pytest.raises(NotFound, match="has no vifname=inv19"):
        inside(qemu.plug, wanted, "inv19")
    guest.keeper.unlink()
    with pytest.raises(NotFound, match="older version"):
        inside(qemu.plug, wanted, "inv17")
    assert "inv17" not in inside(run, ["ip", "link"]).stdout
