"""Names and addresses, with real guests: what PowerDNS and Kea say is what the database says."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from invirt_lab import cluster, console
from invirt_lab.demo import wait_ping
from invirt_lab.site import DOMAIN
from tests.lab.users import Lab, eventually

Make = Callable[..., str]


def dig(*words: str) -> str:
    """What the client's dig prints in short."""
    return cluster.on("client", "dig", "+short", *words).stdout.strip()


def address(lab: Lab, name: str) -> str:
    """The machine's address in the database."""
    row = f"SELECT host(ip) FROM nics JOIN machines USING (machine_id) WHERE name = '{name}'"
    return lab.sql(row).strip()


def test_a_machine_has_its_name_before_it_ever_ran(lab: Lab, machine: Make) -> None:
    name = machine()
    ip = address(lab, name)
    assert dig(f"{name}.{DOMAIN}") == ip
    assert dig("-x", ip) == f"{name}.{DOMAIN}."
    lab.remctl("alice", "machine", "rename", name, "pollux")
    try:
        assert (dig(f"{name}.{DOMAIN}"), dig(f"pollux.{DOMAIN}")) == ("", ip)
    finally:
        lab.remctl("alice", "machine", "rename", "pollux", name)


def test_further_names_and_addresses_come_and_go(lab: Lab, machine: Make) -> None:
    name = machine()
    ip, ip6 = address(lab, name), "2001:db8::a"
    row = f"SELECT mac_addr FROM nics JOIN machines USING (machine_id) WHERE name = '{name}'"
    mac = lab.sql(row).strip()

    def admin(*words: str) -> None:
        cluster.on("db", "invirt-admin", "nic", *words)

    admin("name", f"shop.{DOMAIN}", mac)
    admin("set", mac, "--ip6", ip6, "--hostname", f"www.{DOMAIN}")
    for known in (f"shop.{DOMAIN}", f"www.{DOMAIN}", f"{name}.{DOMAIN}"):
        assert (dig(known), dig(known, "AAAA")) == (ip, ip6)
    assert dig("-x", ip) == f"www.{DOMAIN}."
    assert ip6 in lab.remctl("alice", "machine", "show", name)
    admin("unname", f"shop.{DOMAIN}", mac)
    admin("set", mac, "--ip6", "none", "--hostname", "none")
    assert dig(f"shop.{DOMAIN}") == dig(f"www.{DOMAIN}") == dig(f"{name}.{DOMAIN}", "AAAA") == ""
    assert dig("-x", ip) == f"{name}.{DOMAIN}."


def test_guests_get_their_address_and_find_each_other(lab: Lab, machine: Make) -> None:
    names = [machine(), machine()]
    for name in names:
        lab.remctl("alice", "control", name, "create")
    first, second = names
    wait_ping(first, second)
    wait_ping(second, first)
    for name in names:
        assert f"inet {address(lab, name)}/24" in console.ask(name, "ip address show eth0")
    changed = "10.86.0.139"
    mac = lab.sql(
        f"SELECT mac_addr FROM nics JOIN machines USING (machine_id) WHERE name = '{first}'"
    ).strip()
    cluster.on("db", "invirt-admin", "nic", "set", mac, "--ip", changed)
    assert dig(f"{first}.{DOMAIN}") == changed
    console.ask(first, "kill -USR1 $(pidof udhcpc)")  # renew now
    eventually(lambda: f"inet {changed}/24" in console.ask(first, "ip address show eth0"), changed)


@pytest.mark.nightly
def test_a_further_nic_is_one_for_the_guest(lab: Lab, machine: Make) -> None:
    """It has a link, an address by DHCP and a name of its own, and works when the first is down.

    So has one that comes while the guest runs, until it goes.
    """
    name, ip, known = machine(), "10.86.0.138", f"second.{DOMAIN}"
    lab.admin("nic", "add", name, "--ip", ip, "--hostname", known)
    lab.remctl("alice", "control", name, "create")
    wait_ping(name, "dns")  # by the first
    console.ask(name, "ip link set eth0 down; udhcpc -i eth1 -q -s /etc/udhcpc")
    assert f"inet {ip}/24" in console.ask(name, "ip address show eth1")
    wait_ping(name, "dns")
    assert cluster.on("client", "ping", "-c", "1", "-w", "30", known).returncode == 0
    counted = cluster.on(console.host_of(name) or "", "invirt-vif", "counters", name, "--json")
    assert len(json.loads(counted.stdout)) == 2

    third, cards = "10.86.0.137", "ls /sys/class/net"
    added = cluster.on("db", "invirt-admin", "nic", "add", name, "--ip", third)
    assert "plugs the NIC in" in added.stderr
    eventually(lambda: "eth2" in console.ask(name, cards), "eth2")
    console.ask(name, "ip link set eth1 down; ip link set eth2 up; udhcpc -i eth2 -q -s /etc/udhcpc")
    assert f"inet {third}/24" in console.ask(name, "ip address show eth2")
    wait_ping(name, "dns")
    mac = console.ask(name, "cat /sys/class/net/eth2/address").split()[-1]
    lab.admin("nic", "remove", mac)
    eventually(lambda: "eth2" not in console.ask(name, cards), "eth2")
