"""A guest that forges frames, its neighbour on the same host, a third on the other host; closed ports."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from scapy.packet import Packet

from invirt.host.network.routes import ROUTER6
from invirt_lab import cluster, console
from invirt_lab.demo import wait_ping
from invirt_lab.site import CONSOLE, SERVERS
from tests.lab import wire
from tests.lab.users import Lab, eventually
from tests.parts.host import forged, honest
from tests.parts.host.frames import Place
from tests.parts.kernel_log import listening

NAMES = ("mallory", "numa", "livia")
DB = SERVERS["db"].address
# What guests may not reach, with a server to which it is open; and what they may.
CLOSED = {
    ("host1", 4374): "remote",
    ("host2", 4374): "remote",
    ("host1", 3109): CONSOLE,
    ("db", 5432): "client",
    ("remote", 4373): "client",
    ("kdc", 88): "client",
    (CONSOLE, 22): "client",
}
OPEN = (("dns", 53),)
FLUSH = """
set -e
systemctl start nftables
systemctl reload nftables
systemctl stop nftables
nft flush ruleset
"""


@dataclass(frozen=True)
class Guest:
    """A machine that runs; interface: its host's end of its link."""

    name: str
    host: str
    interface: str
    mac: str
    ip: str
    ip6: str


@pytest.fixture(scope="module")
def three(lab: Lab) -> Iterator[tuple[Guest, Guest, Guest]]:
    """The forger, one on its host, and one on the other host; each has addresses of both kinds."""
    guests = []
    try:
        for name in NAMES:
            lab.remctl("alice", "machine", "create", name, "--memory", "128", "--disk", "1")
        rows = lab.sql(
            "SELECT name, nic_id, mac_addr, host(ip) FROM machines JOIN nics USING (machine_id)"
            f" WHERE name IN {NAMES} ORDER BY nic_id"
        ).split()
        for number, row in enumerate(rows):
            name, nic, mac, ip = row.split("|")
            ip6 = f"2001:db8:86::{number + 1}"
            lab.admin("nic", "set", mac, "--ip6", ip6)
            lab.remctl("alice", "control", name, "create")
            guests.append(Guest(name, console.host_of(name) or "", f"inv{nic}", mac, ip, ip6))
        for guest in guests:
            console.ask(guest.name, f"ip address add {guest.ip6}/128 dev eth0")
        alone = next(guest for guest in guests if [one.host for one in guests].count(guest.host) == 1)
        forger, neighbour = (guest for guest in guests if guest is not alone)
        for other in (neighbour, alone):
            wait_ping(forger.name, other.name)
        yield forger, neighbour, alone
    finally:
        for name in NAMES:
            lab.remove(name, "alice")


def place(forger: Guest, victim: Guest) -> Place:
    """Where the forger is, and whom it is after."""
    link = f"/sys/class/net/{forger.interface}/address"
    return Place(
        mac=forger.mac,
        own=forger.ip,
        own6=forger.ip6,
        victim_mac=victim.mac,
        victim=victim.ip,
        victim6=victim.ip6,
        host=SERVERS[forger.host].address,
        host_mac=cluster.on(forger.host, "cat", link).stdout.strip(),
        server=DB,
        server6=ROUTER6,  # the lab's servers have no IPv6
    )


def counters(name: str) -> Counter[str]:
    """As the administrator's command shows them."""
    host = console.host_of(name) or ""
    [row] = json.loads(cluster.on(host, "invirt-vif", "counters", name, "--json").stdout)
    return Counter({name: value for name, value in row.items() if isinstance(value, int)})


def on_links(interfaces: dict[str, int], frames: dict[str, Packet]) -> Counter[tuple[str, bytes]]:
    """How often each of the frames is to be seen on each interface."""
    packets = [wire.packet(bytes(frame)) for frame in frames.values()]
    return Counter({(name, packet): times for name, times in interfaces.items() for packet in packets})


@pytest.mark.nightly
def test_forged_frames_of_a_guest_reach_nobody(three: tuple[Guest, Guest, Guest], tmp_path: Path) -> None:
    """Sent to both others, and seen neither on their links nor on the hosts' network; what is honest is.

    Whatever an administrator flushes meanwhile.
    """
    forger, neighbour, alone = three
    near, far = place(forger, neighbour), place(forger, alone)
    bad = [*forged.forged(near).items(), *forged.forged(far).items()]
    to_near, to_far = honest.to_others(near), honest.to_others(far)
    to_far = {name: frame for name, frame in to_far.items() if "IPv6" not in name}  # hosts have none here
    good = [*to_near.values(), *to_far.values(), *honest.to_host(near).values()]

    with listening() as lines, wire.watched([forger.host, alone.host], tmp_path) as (here, there):
        cluster.on(forger.host, "sh", "-c", FLUSH)
        before = counters(forger.name)
        wire.send(forger.host, forger.name, [bytes(frame) for _, frame in bad])
        rose = counters(forger.name) - before
        wire.send(forger.host, forger.name, [bytes(frame) for frame in good])
        expected = on_links({neighbour.interface: 1}, to_near)
        # It leaves one host and comes to the other.
        expected += on_links({alone.interface: 1, "eth0": 2}, to_far)

        names = {wire.packet(bytes(frame)): name for name, frame in [*to_near.items(), *to_far.items()]}

        def missing() -> list[tuple[str, str]]:
            left = expected - (wire.seen(here) + wire.seen(there))
            return [(interface, names[packet]) for interface, packet in left]

        with suppress(AssertionError):
            eventually(lambda: not missing(), "the honest frames at their receivers")
        assert missing() == []
        log = [line for line in lines() if f"d_{forger.name} {forger.interface} refused: " in line]

    forbidden = {wire.packet(bytes(frame)) for _, frame in bad}
    links = ("eth0", neighbour.interface, alone.interface)
    seen = {
        one: times
        for one, times in (wire.seen(here) + wire.seen(there)).items()
        if one[0] in links and one[1] in forbidden
    }
    assert seen == {one: times for one, times in expected.items() if one[1] in forbidden}
    refused = Counter(name.partition(":")[0] for name, _ in bad)
    assert rose["multicast"] >= refused["multicast"]  # a guest's own kernel sends some
    assert {name: rose[name] for name in refused if name != "multicast"} == {
        name: times for name, times in refused.items() if name != "multicast"
    }
    assert 1 <= len(log) < 20 < len(bad)


def test_ports_of_hosts_and_servers_are_closed_to_guests(lab: Lab, machine: Callable[..., str]) -> None:
    """And open to servers: it is the rules that close them."""
    guest = machine()
    lab.remctl("alice", "control", guest, "create")
    tried = " ".join(
        f"(nc -w 3 {SERVERS[name].address} {port} </dev/null >/dev/null 2>&1 && echo {name} {port} open) &"
        for name, port in (*CLOSED, *OPEN)
    )
    said = console.ask(guest, f"{tried} wait")
    assert re.findall(r"^(\w+) (\d+) open$", said, re.MULTILINE) == [(name, str(port)) for name, port in OPEN]
    for (name, port), server in CLOSED.items():
        cluster.on(server, "bash", "-c", f": </dev/tcp/{SERVERS[name].address}/{port}")
    assert counters(guest)["closed_port"] >= len(CLOSED)


@pytest.mark.nightly
def test_swapped_addresses_of_running_machines(lab: Lab, three: tuple[Guest, Guest, Guest]) -> None:
    """Both are right after their next renewal, and neither may use the address that it had."""
    _, one, other = three
    for mac, ip in ((one.mac, "none"), (other.mac, one.ip), (one.mac, other.ip)):
        lab.admin("nic", "set", mac, "--ip", ip)
    swapped = ((one, other.ip), (other, one.ip))
    for guest, _ in swapped:
        console.ask(guest.name, "kill -USR1 $(pidof udhcpc)")  # renew now
    for guest, address in swapped:
        eventually(partial(has, guest, address), f"{guest.name} to have {address}")
    for guest, address in swapped:
        before = counters(guest.name)
        assert " 0% packet loss" in pinged(guest, address)
        console.ask(guest.name, f"ip address add {guest.ip}/32 dev eth0")
        assert "100% packet loss" in pinged(guest, guest.ip)
        assert (counters(guest.name) - before)["foreign_ip"] == 2


def has(guest: Guest, address: str) -> bool:
    return f"inet {address}/24" in console.ask(guest.name, "ip address show eth0")


def pinged(guest: Guest, source: str) -> str:
    """What ping says, to a server from one of the guest's addresses."""
    return console.ask(guest.name, f"ping -c 2 -W 2 -I {source} {DB}")
