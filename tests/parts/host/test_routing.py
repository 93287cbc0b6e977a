"""Guests on one host and on two reach each other by routes, and see nothing of each other's."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from invirt import config
from invirt.host.network.announce import ADVERTISEMENT, EVERY, TIMES
from tests.parts.dhcp.network import ROOT, Guest, Network, Node
from tests.parts.waiting import until

CONFIG = """\
site: {domain: invirt.test, realm: INVIRT.TEST}
database: {hostname: db.invirt.test}
remote: {hostname: remote.invirt.test}
network: {servers: [10.86.0.0/27, "2001:db8:86::/123"]}
"""
OUTSIDE = ("203.0.113.9", "2001:db8:ffff::9")  # behind the server, which is the hosts' way out
GUESTS = {"remus": "host1", "romulus": "host1", "numa": "host2"}
# Writes down the frames that come in, as long as it lives.
EAVESDROP = """\
import socket, sys
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.bind((sys.argv[1], 0))
while True:
    frame, (_, _, kind, *_) = link.recvfrom(2000)
    if kind != socket.PACKET_OUTGOING:
        print(frame.hex(), flush=True)
"""


def addresses(number: int) -> tuple[str, str]:
    return f"10.86.0.{101 + number}", f"2001:db8:86::{101 + number}"


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """A server and two hosts on a network, guests behind the hosts."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        (tmp_path / "invirt.yaml").write_text(CONFIG)
        patch.setenv("INVIRT_CONFIG", str(tmp_path / "invirt.yaml"))
        config.reload()
        stack.callback(config.reload)
        network = Network(tmp_path, stack)
        network.server.run("ip", "address", "add", "2001:db8:86::5/64", "dev", "br0", "nodad")
        for address in OUTSIDE:
            network.server.run("ip", "address", "add", address, "dev", "lo")
        for number in (1, 2):
            host = network.host(f"host{number}", f"10.86.0.1{number}")
            host.run("ip", "address", "add", f"2001:db8:86::1{number}/64", "dev", "eth0", "nodad")
            host.run("ip", "route", "add", "default", "via", "2001:db8:86::5")
        yield network


@pytest.fixture
def guests(network: Network) -> dict[str, Guest]:
    """remus and romulus on host1, numa on host2, with addresses that lie in the hosts' network."""
    found = {}
    for number, (name, host) in enumerate(GUESTS.items()):
        ip, ip6 = addresses(number)
        guest = network.guest(name, network.hosts[host], number, f"02:00:00:00:00:0{number}", ip, ip6)
        guest.node.run("ip", "address", "add", f"{ip}/24", "dev", "eth0")
        guest.node.run("ip", "address", "add", f"{ip6}/128", "dev", "eth0", "nodad")
        guest.node.run("ip", "route", "add", "default", "via", "10.86.0.1")
        guest.node.run("ip", "route", "add", "default", "via", "fe80::1", "dev", "eth0")
        found[name] = guest
    return found


def reached(node: Node, address: str) -> bool:
    """Whether it answers, in one of three tries."""
    ping = ["busybox", "ping", "-c", "1", "-W", "2", address]
    return any("1 packets received" in node.run(*ping, check=False) for _ in range(3))


@pytest.mark.parametrize("kind", [0, 1], ids=["IPv4", "IPv6"])
def test_all_reach_each_other_and_the_outside(network: Network, guests: dict[str, Guest], kind: int) -> None:
    server = ("10.86.0.5", "2001:db8:86::5")[kind]
    for name, guest in guests.items():
        others = [addresses(number)[kind] for number, other in enumerate(GUESTS) if other != name]
        for address in (*others, server, OUTSIDE[kind]):
            assert reached(guest.node, address), f"{name} to {address}"
    for number in range(3):
        assert reached(network.server, addresses(number)[kind])


@pytest.mark.parametrize("kind", [0, 1], ids=["IPv4", "IPv6"])
def test_each_address_of_a_guest_with_two_links(
    network: Network, guests: dict[str, Guest], kind: int
) -> None:
    """Each leads to its own link; the guest answers by its first, as Linux does, whichever that is."""
    node, host = guests["remus"].node, network.hosts["host1"]
    first, second, romulus = addresses(0), addresses(8), addresses(1)
    network.link(node, "eth1", host, "inv8", "02:00:00:00:00:08")
    for interface, mac, own, others in (
        ("inv0", "02:00:00:00:00:00", first, second),
        ("inv8", "02:00:00:00:00:08", second, first),
    ):
        other = [word for address in others for word in ("--other", address)]
        vif = [sys.executable, str(ROOT / "invirt-host/sbin/invirt-vif"), "add", "--name", "d_remus", *other]
        host.run("env", f"INVIRT_RUN={network.folder}", *vif, "--", interface, mac, *own)
    for address, more in ((f"{second[0]}/32", ()), (f"{second[1]}/128", ("nodad",))):
        node.run("ip", "address", "add", address, "dev", "eth1", *more)
    node.run("ip", "link", "set", "eth1", "up")
    for way in ("eth0", "eth1"):
        node.run("ip", "route", "replace", "default", "via", "10.86.0.1", "dev", way, "onlink")
        node.run("ip", "-6", "route", "replace", "default", "via", "fe80::1", "dev", way)
        for whose in (first, second):
            for asking in (network.server, network.hosts["host2"], host, guests["numa"].node):
                assert reached(asking, whose[kind]), f"{asking.name} to {whose[kind]}, answered by {way}"
    node.run("ip", "address", "add", f"{romulus[kind]}/{(32, 128)[kind]}", "dev", "eth1", *["nodad"] * kind)
    ping = ["ping", "-c", "1", "-W", "2", "-I", romulus[kind], ("10.86.0.5", "2001:db8:86::5")[kind]]
    assert "1 packets received" not in node.run(
        "busybox", *ping, check=False
    )  # another's is no other of its own


def announcements(node: Node, kind: int, address: str) -> int:
    """Of those frames that EAVESDROP has written down: ARP from the address (RFC 826), or NA of it."""
    family, type_, where = ((socket.AF_INET, "0806", 28), (socket.AF_INET6, "86dd", 62))[kind]
    own = socket.inet_pton(family, address)
    frames = [bytes.fromhex(line) for line in node.log.read_text().splitlines()]
    found = [
        frame for frame in frames if frame[12:14].hex() == type_ and frame[where : where + len(own)] == own
    ]
    return sum(kind == 0 or frame[54] == ADVERTISEMENT for frame in found)


@pytest.mark.parametrize("kind", [0, 1], ids=["IPv4", "IPv6"])
def test_an_address_is_announced_several_times(network: Network, kind: int) -> None:
    """As long as it leads to the guest; nobody waits for it."""
    server, host = network.server, network.hosts["host1"]
    ear = server.start([sys.executable, "-c", EAVESDROP, "host1"])
    try:
        until(lambda: Path(f"/proc/{ear.pid}/net/packet").read_text().count("\n") > 1)
        begun = time.monotonic()
        for number, name in enumerate(("remus", "romulus")):
            network.guest(name, host, number, f"02:00:00:00:00:0{number}", *addresses(number))
        assert announcements(server, kind, addresses(1)[kind]) < TIMES  # it was not waited for
        vif = [sys.executable, str(ROOT / "invirt-host/sbin/invirt-vif"), "remove", "inv1"]
        host.run("env", f"INVIRT_RUN={network.folder}", *vif)
        gone = announcements(server, kind, addresses(1)[kind])
        until(lambda: announcements(server, kind, addresses(0)[kind]) == TIMES)
        assert time.monotonic() - begun > (TIMES - 1) * EVERY
        assert 1 <= gone <= announcements(server, kind, addresses(1)[kind]) <= gone + 1 < TIMES
    finally:
        ear.kill()
        ear.wait(20)


def heard(node: Node) -> list[bytes]:
    """The IP packets, with their Ethernet headers, that EAVESDROP has written down."""
    frames = [bytes.fromhex(line) for line in node.log.read_text().splitlines()]
    return [frame for frame in frames if frame[12:14] in (b"\x08\x00", b"\x86\xdd")]


def test_a_guest_hears_nothing_that_is_not_for_it(guests: dict[str, Guest]) -> None:
    romulus = guests["romulus"].node
    own = bytes([10, 86, 0, 102])

    def is_own(frame: bytes) -> bool:
        return frame[12:14] == b"\x08\x00" and frame[30:34] == own

    ear = romulus.start([sys.executable, "-c", EAVESDROP, "eth0"])
    try:
        until(lambda: Path(f"/proc/{ear.pid}/net/packet").read_text().count("\n") > 1)
        for kind in (0, 1):
            assert reached(guests["remus"].node, addresses(2)[kind])
            assert reached(guests["numa"].node, addresses(0)[kind])
        assert reached(guests["remus"].node, addresses(1)[0])  # this one is for it
        until(lambda: any(map(is_own, heard(romulus))))  # and with it all that came before is written down
    finally:
        ear.kill()
        ear.wait(20)
    local = (0xFE, 0xFF)  # IPv6: of the link, and to many
    foreign = [frame for frame in heard(romulus) if not is_own(frame)]
    assert [frame.hex() for frame in foreign if frame[12:14] == b"\x08\x00" or frame[38] not in local] == []


@pytest.mark.parametrize("kind", [0, 1], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("alive", [True, False], ids=["alive", "dead"])
def test_who_knew_a_guest_at_its_old_host_reaches_it_at_the_new_one(
    network: Network, guests: dict[str, Guest], kind: int, alive: bool
) -> None:
    """At once, since the new host announces it; a dead one would send nothing on."""
    address, server = addresses(0)[kind], network.server
    assert reached(server, address)
    if alive:
        vif = [sys.executable, str(ROOT / "invirt-host/sbin/invirt-vif"), "remove", "inv0"]
        network.hosts["host1"].run("env", f"INVIRT_RUN={network.folder}", *vif)
    else:
        server.run("ip", "link", "set", "host1", "down")
    remus = network.guest("remus2", network.hosts["host2"], 9, "02:00:00:00:00:00", *addresses(0))
    remus.node.run("ip", "address", "add", f"{address}/{(24, 128)[kind]}", "dev", "eth0", *["nodad"] * kind)
    remus.node.run("ip", "route", "add", "default", "via", *(["10.86.0.1"], ["fe80::1", "dev", "eth0"])[kind])
    [link] = json.loads(network.hosts["host2"].run("ip", "-json", "link", "show", "eth0"))
    assert server.run("ip", "neighbour", "show", address).split()[4] == link["address"]
    assert " 0% packet loss" in server.run("busybox", "ping", "-c", "1", "-W", "5", address)


def listening(node: Node, address: str, port: int) -> subprocess.Popen[bytes]:
    """A server that takes one connection."""
    script = (
        "import socket, sys; s = socket.create_server((sys.argv[1], int(sys.argv[2])),"
        " family=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET);"
        " print('ready', flush=True); s.accept()[0].sendall(b'hello')"
    )
    before = node.log.read_text().count("ready") if node.log.exists() else 0
    process = node.start([sys.executable, "-c", script, address, str(port)])
    until(lambda: node.log.exists() and node.log.read_text().count("ready") > before)
    return process


def connects(node: Node, address: str, port: int, seconds: int = 10) -> bool:
    """Whether what listens there is reached."""
    script = (
        "import socket, sys;"
        " print(socket.create_connection((sys.argv[1], sys.argv[2]), int(sys.argv[3])).recv(9))"
    )
    return "hello" in node.run(sys.executable, "-c", script, address, str(port), str(seconds), check=False)


@pytest.mark.parametrize("kind", [0, 1], ids=["IPv4", "IPv6"])
def test_ports_of_hosts_and_servers(network: Network, guests: dict[str, Guest], kind: int) -> None:
    remus, host = guests["remus"].node, network.hosts["host1"]
    places = (
        (host, ("10.86.0.11", "2001:db8:86::11")[kind], {22: False, 53: True}),
        (network.server, ("10.86.0.5", "2001:db8:86::5")[kind], {5432: False, 53: True}),
        (guests["numa"].node, addresses(2)[kind], {22: True, 5432: True}),
    )
    for node, address, ports in places:
        for port, open in ports.items():
            process = listening(node, address, port)
            try:
                assert connects(remus, address, port, 10 if open else 2) is open, f"{address} port {port}"
            finally:
                process.kill()
                process.wait(20)
    process = listening(remus, addresses(0)[kind], 22)  # and they reach the guest
    try:
        assert connects(network.server, addresses(0)[kind], 22)
    finally:
        process.kill()
        process.wait(20)
    vif = [sys.executable, str(ROOT / "invirt-host/sbin/invirt-vif"), "counters"]
    [row] = json.loads(host.run(*vif, "remus", "--json"))
    assert row["domain"] == "d_remus" and row["closed_port"] >= 2
    told = host.run(*vif, "remus")
    assert "d_remus on inv0" in told and "a port of a host or server" in told and "MAC" not in told
    assert "no guest numa has an interface on this host" in host.run(*vif, "numa", check=False)
