"""Kea gives each guest the database's address, through the relay of the host it is on."""

from __future__ import annotations

import signal
import sys
import time

from tests.parts.database.rows import machine
from tests.parts.dhcp.conftest import Kea
from tests.parts.dhcp.network import Guest
from tests.parts.postgres import Cluster
from tests.parts.waiting import until

MAC = "02:00:00:00:00:0{}"


def guests(kea: Kea, *addresses: str) -> list[Guest]:
    """Machines remus, romulus, … and their guests, on the hosts in turn."""
    hosts = list(kea.network.hosts.values())
    made = []
    for number, (name, address) in enumerate(zip(("remus", "romulus"), addresses, strict=False)):
        machine(kea.database, name, ip=address, mac=MAC.format(number))
        made.append(kea.network.guest(name, hosts[number % 2], number + 1, MAC.format(number), address))
    return made


def bound(guest: Guest, address: str) -> None:
    until(lambda: guest.addresses == [f"{address}/24"], guest.said)


def renew(guest: Guest) -> None:
    assert guest.client
    guest.client.send_signal(signal.SIGUSR1)


def test_guests_on_two_hosts_get_their_own_and_reach_each_other(kea: Kea) -> None:
    remus, romulus = guests(kea, "10.86.0.101", "10.86.0.102")
    for guest, address in ((remus, "10.86.0.101"), (romulus, "10.86.0.102")):
        kea.network.dhcp(guest)
        bound(guest, address)
    told = remus.events[-1]
    for word in (
        "bound ip=10.86.0.101 subnet=255.255.255.0 router=10.86.0.1 dns=10.86.0.6",
        "domain=invirt.test hostname=remus lease=60 server=10.86.0.5",
    ):
        assert word in told
    assert " 0% packet loss" in remus.node.run("busybox", "ping", "-c", "2", "10.86.0.102")


def test_the_dhcp_server_may_be_a_host_too(kea: Kea) -> None:
    """Each has port 67 there, and the relay of another host is answered as ever."""
    network = kea.network
    network.relay(network.server)
    for number, host in enumerate((network.server, network.hosts["host1"])):
        address = f"10.86.0.11{number}"
        machine(kea.database, f"m{number}", ip=address, mac=MAC.format(number))
        guest = network.guest(f"m{number}", host, number + 1, MAC.format(number), address)
        network.dhcp(guest)
        bound(guest, address)
        renew(guest)
        until(lambda: guest.events[-1].startswith(f"renew ip={address}"), guest.said)  # noqa: B023 (at once)


def test_each_range_has_its_router_and_netmask(kea: Kea) -> None:
    kea.database.execute(
        "INSERT INTO address_ranges (first, last, prefix, gateway)"
        " VALUES ('10.87.0.2', '10.87.0.6', 29, '10.87.0.1'), ('10.88.0.2', '10.88.3.6', 22, '10.88.0.1')"
    )
    for guest, told in zip(
        guests(kea, "10.87.0.3", "10.88.2.3"),
        (
            "bound ip=10.87.0.3 subnet=255.255.255.248 router=10.87.0.1 ",
            "bound ip=10.88.2.3 subnet=255.255.252.0 router=10.88.0.1 ",
        ),
        strict=True,
    ):
        kea.network.dhcp(guest)
        until(lambda: any(told in line for line in guest.events), guest.said)  # noqa: B023 (at once)


def test_a_stranger_gets_no_answer(kea: Kea) -> None:
    (remus,) = guests(kea, "10.86.0.101")
    host1 = kea.network.hosts["host1"]
    stranger = kea.network.guest("stranger", host1, 9, "02:00:00:00:00:99", "10.86.0.109")
    kea.network.dhcp(stranger)
    kea.network.dhcp(remus)
    bound(remus, "10.86.0.101")
    until(lambda: any(line.startswith("leasefail") for line in stranger.events), stranger.said)
    assert stranger.addresses == [] and not [line for line in stranger.events if "bound" in line]


# Asks from the MAC of argv[1] in the name of argv[2], in each way that a client may; prints what it is told.
IN_ANOTHERS_NAME = """
import sys
from scapy.all import BOOTP, DHCP, IP, UDP, Ether, conf, srp
conf.checkIPaddr = False
own, other = sys.argv[1:]
for source, to, kind in (
    ("0.0.0.0", "255.255.255.255", "discover"),
    ("10.86.0.101", "255.255.255.255", "request"),
    ("10.86.0.101", "10.86.0.5", "request"),
):
    mac = bytes.fromhex(other.replace(":", ""))
    asked = BOOTP(chaddr=mac, xid=7, flags=0x8000) / DHCP(options=[("message-type", kind), "end"])
    frame = Ether(src=own, dst="ff:ff:ff:ff:ff:ff") / IP(src=source, dst=to) / UDP(sport=68, dport=67) / asked
    for _, answer in srp(frame, iface="eth0", timeout=1, verbose=False, multi=True)[0]:
        if BOOTP in answer and answer[BOOTP].op == 2:
            print("told", answer[BOOTP].yiaddr)
print("asked")
"""


# Asks from the MAC of argv[1] for the address of argv[2], as one that has stored it (or "", as a new
# one), and with more options; prints what it is told.
STORED = """
import sys
from scapy.all import BOOTP, DHCP, IP, UDP, Ether, conf, srp
conf.checkIPaddr = False
own, stored, more = sys.argv[1:]
kind = [("message-type", "request"), ("requested_addr", stored)] if stored else [("message-type", "discover")]
asked = [*kind, ("param_req_list", [1, 3, 12, 15]), bytes.fromhex(more) or "pad", "end"]
whole = BOOTP(chaddr=bytes.fromhex(own.replace(":", "")), xid=7, flags=0x8000) / DHCP(options=asked)
to_all = Ether(src=own, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255")
frame = to_all / UDP(sport=68, dport=67) / whole
for _, answer in srp(frame, iface="eth0", timeout=1, verbose=False, multi=True)[0]:
    if BOOTP in answer and answer[BOOTP].op == 2:
        told = dict(option[:2] for option in answer[DHCP].options if isinstance(option, tuple))
        print({2: "offer", 5: "ack", 6: "nak"}[told["message-type"]], answer[BOOTP].yiaddr,
            *(told.get(option, b"-").decode() for option in ("hostname", "domain")))
"""
FQDN = "510c010000" + b"\x04liar\x03com".hex()  # RFC 4702


def asking(guest: Guest, number: int, stored: str, more: str = "") -> str:
    """What is said to a guest that asks by itself."""
    return guest.node.run(sys.executable, "-c", STORED, MAC.format(number), stored, more).strip()


def test_a_stored_address_is_asked_for_again(kea: Kea) -> None:
    """INIT-REBOOT (RFC 2131, 4.3.2): one's own is acknowledged, another's and a former one are not."""
    remus, romulus = guests(kea, "10.86.0.101", "10.86.0.102")
    for _ in range(2):
        assert asking(remus, 0, "10.86.0.101") == "ack 10.86.0.101 remus invirt.test"
    assert asking(romulus, 1, "10.86.0.101").startswith("nak")
    assert asking(romulus, 1, "10.86.0.139").startswith("nak")
    kea.database.execute("UPDATE nics SET ip = '10.86.0.103' WHERE ip = '10.86.0.101'")
    assert asking(remus, 0, "10.86.0.101").startswith("nak")
    assert asking(remus, 0, "") == "offer 10.86.0.103 remus invirt.test"


def test_a_client_that_says_a_full_name_is_told_its_machine_s(kea: Kea) -> None:
    (remus,) = guests(kea, "10.86.0.101")
    for stored, said in (("", "offer"), ("10.86.0.101", "ack")):
        assert asking(remus, 0, stored, FQDN) == f"{said} 10.86.0.101 remus invirt.test"


def test_a_guest_learns_nothing_in_another_s_name(kea: Kea) -> None:
    remus, _ = guests(kea, "10.86.0.101", "10.86.0.102")
    kea.network.dhcp(remus)
    bound(remus, "10.86.0.101")
    ask = [sys.executable, "-c", IN_ANOTHERS_NAME, MAC.format(0)]
    assert "told" not in remus.node.run(*ask, MAC.format(1))
    assert "told 10.86.0.101" in remus.node.run(*ask, MAC.format(0))


def test_a_changed_address_counts_at_the_next_renewal(kea: Kea) -> None:
    (remus,) = guests(kea, "10.86.0.101")
    kea.network.follow()
    kea.network.dhcp(remus)
    bound(remus, "10.86.0.101")
    renew(remus)
    until(lambda: remus.events[-1].startswith("renew ip=10.86.0.101"), remus.said)
    kea.database.execute("UPDATE nics SET ip = '10.86.0.111'")
    renew(remus)
    until(lambda: any("bound ip=10.86.0.111" in line for line in remus.events), remus.said)


def test_swapped_addresses_count_at_the_next_renewal(kea: Kea) -> None:
    """From then on both reach each other, and neither may use the address that it had."""
    remus, romulus = guests(kea, "10.86.0.101", "10.86.0.102")
    kea.network.follow()
    for guest, address in ((remus, "10.86.0.101"), (romulus, "10.86.0.102")):
        kea.network.dhcp(guest)
        bound(guest, address)
    kea.database.execute(
        "UPDATE nics SET ip = NULL; UPDATE nics n SET ip = CASE m.name WHEN 'remus' THEN '10.86.0.102'"
        " ELSE '10.86.0.101' END::inet FROM machines m WHERE m.machine_id = n.machine_id"
    )
    renew(remus)
    renew(romulus)
    until(lambda: any("bound ip=10.86.0.102" in line for line in remus.events), remus.said)
    until(lambda: any("bound ip=10.86.0.101" in line for line in romulus.events), romulus.said)
    ping = ["busybox", "ping", "-c", "2"]
    until(lambda: " 0% packet loss" in remus.node.run(*ping, "10.86.0.101", check=False), remus.said)
    assert " 0% packet loss" in romulus.node.run(*ping, "10.86.0.5")
    remus.node.run("ip", "addr", "add", "10.86.0.101/32", "dev", "eth0")
    assert " 100% packet loss" in remus.node.run(*ping, "-I", "10.86.0.101", "10.86.0.5", check=False)


def test_while_the_database_is_gone_guests_keep_their_addresses(kea: Kea, cluster: Cluster) -> None:
    remus, romulus = guests(kea, "10.86.0.101", "10.86.0.102")
    kea.network.dhcp(remus)
    bound(remus, "10.86.0.101")
    name = kea.database.name
    cluster.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    cluster.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        kea.network.dhcp(romulus)
        for _ in range(3):
            renew(remus)
            time.sleep(1)
        assert remus.addresses == ["10.86.0.101/24"]
        assert not [line for line in remus.events if line.startswith(("nak", "deconfig"))][1:]
        until(lambda: "broadcasting discover" in romulus.node.log.read_text(), romulus.said)
        assert romulus.addresses == []
    finally:
        cluster.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    heard = len(remus.events)

    def answered() -> bool:
        renew(remus)
        time.sleep(0.5)
        return any("ip=10.86.0.101" in line for line in remus.events[heard:])

    until(answered, lambda: remus.said() + kea.network.server.log.read_text())
    bound(romulus, "10.86.0.102")
    assert kea.process and kea.process.poll() is None


def test_isc_s_client_is_content_too(kea: Kea) -> None:
    (remus,) = guests(kea, "10.86.0.101")
    folder = kea.network.folder
    argv = [
        "dhclient",
        "-1",
        "-d",
        "-v",
        "-sf",
        "/bin/true",
        "-lf",
        f"{folder}/leases",
        "-pf",
        f"{folder}/pid",
    ]
    client = remus.node.start([*argv, "eth0"])
    try:
        until(lambda: "DHCPACK of 10.86.0.101" in remus.node.log.read_text(), remus.said)
    finally:
        client.kill()
        client.wait(20)


# As many as argv[1], each in the guest's own name, as fast as it can.
FLOOD = """
import socket, sys
from scapy.all import BOOTP, DHCP, IP, UDP, Ether
mac = "02:00:00:00:00:00"
own = BOOTP(chaddr=bytes.fromhex(mac.replace(":", "")))
asked = own / DHCP(options=[("message-type", "discover"), "end"])
to_all = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255")
frame = bytes(to_all / UDP(sport=68, dport=67) / asked)
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(("eth0", 0))
for _ in range(int(sys.argv[1])):
    link.send(frame)
"""


HEARD = """
table inet heard {
    counter requests { }
    chain from_host1 {
        type filter hook input priority 0
        ip saddr 10.86.0.11 udp dport 67 counter name requests
    }
}
"""


def test_one_that_asks_without_end_keeps_nobody_from_an_address(kea: Kea) -> None:
    """Neither the server nor other guests have to do with more than its rate."""
    remus, romulus = guests(kea, "10.86.0.101", "10.86.0.102")
    kea.network.server.run("nft", "-f", "-", input=HEARD)
    begin = time.monotonic()
    flood = remus.node.start([sys.executable, "-c", FLOOD, "160000"])
    kea.network.dhcp(romulus)
    bound(romulus, "10.86.0.102")
    assert flood.wait(60) == 0, remus.said()
    heard = kea.network.server.run("nft", "list", "counter", "inet", "heard", "requests")
    packets = int(heard.split("packets ")[1].split()[0])
    assert 20 <= packets <= 21 + 2 * (time.monotonic() - begin)
