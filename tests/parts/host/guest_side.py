"""What a wicked guest may try: run in a network namespace of its own, it forges frames on its tap.

The host there has another guest, who is the victim.  Prints JSON: for each
frame, by name, the counters that it advanced and whether host and victim got
it; then what the host answered, and what is left after a flush and at the end.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import DHCP6_Advertise, DHCP6_Solicit
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6MLReport,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, LLC, STP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.packet import Packet, Raw

from invirt.host import rules, vif

MAC, VICTIM_MAC = "52:54:00:00:00:11", "52:54:00:00:00:12"
OWN, VICTIM, HOST, SERVER, OUTSIDE = "192.0.2.17", "192.0.2.18", "192.0.2.1", "192.0.2.5", "203.0.113.9"
OWN6, VICTIM6, SERVER6 = "2001:db8::17", "2001:db8::18", "2001:db8::5"
LINK, VICTIM_LINK = str(rules.link_local(MAC)), str(rules.link_local(VICTIM_MAC))
EVERYBODY, ROUTERS, REPORTS = "ff02::1", "ff02::2", "ff02::16"
HOST_MAC = "02:00:00:00:00:01"
HEADER = bytes(10)  # of virtio: nothing is offloaded
LONG = bytes(64)


def ether(payload: Packet, mac: str = MAC) -> Packet:
    return Ether(src=mac, dst=HOST_MAC) / payload


def ip(payload: Packet, src: str = OWN, dst: str = VICTIM, **fields: object) -> Packet:
    return ether(IP(src=src, dst=dst, **fields) / payload)


def ip6(payload: Packet, src: str = OWN6, dst: str = VICTIM6, **fields: object) -> Packet:
    return ether(IPv6(src=src, dst=dst, **fields) / payload)


def nd(payload: Packet, src: str = LINK, dst: str = EVERYBODY, hlim: int = 255) -> Packet:
    return ip6(payload, src, dst, hlim=hlim)


def arp(sender: str, mac: str = MAC, **fields: object) -> Packet:
    return ether(ARP(hwsrc=mac, psrc=sender, **{"pdst": HOST, **fields}))


PING, PING6 = ICMP(type="echo-request"), ICMPv6EchoRequest()
REQUEST = UDP(sport=68, dport=67) / BOOTP(op=1) / DHCP(options=[("message-type", "discover"), "end"])
OFFER = UDP(sport=67, dport=68) / BOOTP(op=2) / DHCP(options=[("message-type", "offer"), "end"])
ADVERTISE = UDP(sport=547, dport=546) / DHCP6_Advertise()
RA = ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::") / ICMPv6NDOptSrcLLAddr(lladdr=MAC)
SOURCE, TARGET = ICMPv6NDOptSrcLLAddr, ICMPv6NDOptDstLLAddr
FRAGMENT, BEGIN = IPv6ExtHdrFragment, {"offset": 0, "m": 1}
NONCE = Raw(b"\x0e\x01abcdef")

# What a guest does that means no harm.
HONEST: dict[str, Packet] = {
    "DHCP request": ip(REQUEST, "0.0.0.0", "255.255.255.255"),
    "DHCP request that rebinds": ip(REQUEST, OWN, "255.255.255.255"),
    "DHCP request to the server": ip(REQUEST, OWN, SERVER),
    "ARP request": arp(OWN, pdst=OUTSIDE),
    "ARP answer": arp(OWN, op=2),
    "ARP probe": arp("0.0.0.0", pdst=OWN),
    "packet": ip(UDP(sport=1, dport=7) / LONG),
    "packet over TCP": ip(TCP(sport=1, dport=22)),
    "ping": ip(PING),
    "ping of the host": ip(PING, OWN, HOST),
    "first fragment": ip(UDP(sport=1, dport=7) / LONG, flags="MF"),
    "later fragment": ip(Raw(LONG), proto=17, frag=8),
    "DNS question to a server": ip(UDP(sport=999, dport=53) / LONG, OWN, SERVER),
    "DNS question to the host by TCP": ip(TCP(sport=999, dport=53), OWN, HOST),
    "answer to a server by TCP": ip(TCP(sport=22, dport=999, flags="SA"), OWN, SERVER),
    "solicitation for an address of its own": nd(ICMPv6ND_NS(tgt=OWN6), "::"),
    "the same with a nonce": nd(ICMPv6ND_NS(tgt=LINK) / NONCE, "::"),
    "solicitation for the router": nd(ICMPv6ND_NS(tgt=vif.ROUTER6) / SOURCE(lladdr=MAC)),
    "advertisement of its address": nd(ICMPv6ND_NA(tgt=OWN6) / TARGET(lladdr=MAC)),
    "question for routers": nd(ICMPv6ND_RS() / SOURCE(lladdr=MAC), LINK, ROUTERS),
    "question for routers from nobody": nd(ICMPv6ND_RS(), "::", ROUTERS),
    "DHCPv6 question": ip6(UDP(sport=546, dport=547) / DHCP6_Solicit(), LINK, "ff02::1:2"),
    "IPv6 packet": ip6(UDP(sport=1, dport=7) / LONG),
    "IPv6 packet over TCP": ip6(TCP(sport=1, dport=22)),
    "IPv6 ping": ip6(PING6),
    "first IPv6 fragment": ip6(FRAGMENT(**BEGIN, nh=17) / UDP(sport=1, dport=7) / LONG),
    "later IPv6 fragment": ip6(FRAGMENT(offset=9, m=0, nh=17) / Raw(LONG)),
    "IPv6 DNS question to a server": ip6(UDP(sport=999, dport=53) / LONG, OWN6, SERVER6),
}

# What it must not get through, by the counter that has to show it.
FORGED: dict[str, dict[str, Packet]] = {
    "foreign_mac": {
        "packet": ether(IP(src=OWN, dst=VICTIM) / PING, VICTIM_MAC),
        "ARP request": ether(ARP(psrc=OWN, hwsrc=MAC), VICTIM_MAC),
        "IPv6 packet": ether(IPv6(src=OWN6, dst=VICTIM6) / PING6, VICTIM_MAC),
        "DHCP request": ether(IP(src="0.0.0.0", dst="255.255.255.255") / REQUEST, VICTIM_MAC),
        "tagged packet": ether(Dot1Q(vlan=5) / IP(src=OWN, dst=VICTIM) / PING, VICTIM_MAC),
    },
    "foreign_ip": {
        "packet of the victim's": ip(PING, VICTIM, OUTSIDE),
        "packet to the victim from outside": ip(PING, OUTSIDE),
        "packet of the host's": ip(PING, HOST),
        "packet of the server's to the host": ip(UDP(sport=53, dport=999), SERVER, HOST),
        "packet from loopback": ip(PING, "127.0.0.1", HOST),
        "packet from nobody": ip(PING, "0.0.0.0"),
        "DHCP request by unicast from nobody": ip(REQUEST, "0.0.0.0", VICTIM),
        "later fragment": ip(Raw(LONG), VICTIM, OUTSIDE, proto=17, frag=8),
    },
    "foreign_ip6": {
        "packet of the victim's": ip6(PING6, VICTIM6),
        "packet of the victim's link-local": ip6(PING6, VICTIM_LINK, vif.ROUTER6),
        "packet of the router's": ip6(PING6, vif.ROUTER6, EVERYBODY),
        "UDP from nobody": ip6(UDP(sport=1, dport=7), "::"),
        "fragment": ip6(FRAGMENT(**BEGIN, nh=58) / PING6, VICTIM6, SERVER6),
        "solicitation of the victim's": nd(ICMPv6ND_NS(tgt=vif.ROUTER6) / SOURCE(lladdr=MAC), VICTIM_LINK),
        "RA of the router's": nd(RA, vif.ROUTER6),
    },
    "foreign_arp": {
        "answer for the victim": arp(VICTIM, op=2),
        "answer for the gateway": arp(HOST, op=2, pdst=VICTIM),
        "announcement of the gateway": arp(HOST, pdst=HOST),
        "answer with another's MAC": arp(OWN, VICTIM_MAC, op=2),
        "request with another's MAC": arp(OWN, VICTIM_MAC),
        "reverse ARP": arp(OWN, op=3),
        "lengths that shift": arp(OWN, hwlen=8),
        "lengths of IPv6": arp(OWN, plen=16),
        "kind of hardware": arp(OWN, hwtype=6),
        "cut": ether(ARP(hwsrc=MAC, psrc=OWN)).__class__(bytes(arp(OWN))[:24]),
    },
    "foreign_nd": {
        "advertisement for the victim": nd(ICMPv6ND_NA(tgt=VICTIM6) / TARGET(lladdr=MAC)),
        "advertisement for the router": nd(ICMPv6ND_NA(tgt=vif.ROUTER6, R=1) / TARGET(lladdr=MAC)),
        "advertisement with another's MAC": nd(ICMPv6ND_NA(tgt=OWN6) / TARGET(lladdr=VICTIM_MAC)),
        "advertisement with two MACs": nd(
            ICMPv6ND_NA(tgt=OWN6) / TARGET(lladdr=MAC) / TARGET(lladdr=VICTIM_MAC)
        ),
        "advertisement from afar": nd(ICMPv6ND_NA(tgt=OWN6), OWN6, VICTIM6, hlim=64),
        "solicitation with another's MAC": nd(ICMPv6ND_NS(tgt=vif.ROUTER6) / SOURCE(lladdr=VICTIM_MAC)),
        "solicitation that hides a MAC": nd(ICMPv6ND_NS(tgt=vif.ROUTER6) / NONCE / SOURCE(lladdr=VICTIM_MAC)),
        "claim of the victim's address": nd(ICMPv6ND_NS(tgt=VICTIM6), "::"),
        "claim of the router's address": nd(ICMPv6ND_NS(tgt=vif.ROUTER6), "::"),
        "claim with a MAC": nd(ICMPv6ND_NS(tgt=OWN6) / SOURCE(lladdr=MAC), "::"),
        "ping from nobody": nd(PING6, "::"),
        "question for routers with another's MAC": nd(
            ICMPv6ND_RS() / SOURCE(lladdr=VICTIM_MAC), LINK, ROUTERS
        ),
    },
    "router": {
        "RA": nd(RA),
        "RA to the victim alone": nd(RA, LINK, VICTIM6),
        "RA from its own address": nd(RA, OWN6),
        "redirect": nd(ICMPv6ND_Redirect(tgt=LINK, dst=SERVER6), LINK, VICTIM6),
        "RA behind a fragment's header": ip6(FRAGMENT(offset=0, m=0, nh=58) / RA, hlim=255),
        "RA to the host behind nothing": nd(RA, LINK, vif.ROUTER6),
        "IPv4 redirect": ip(ICMP(type="redirect", code=1, gw=OWN) / IP(src=VICTIM, dst=OUTSIDE)),
        "IPv4 router advertisement": ip(ICMP(type=9)),
    },
    "dhcp_answer": {
        "offer to all": ip(OFFER, OWN, "255.255.255.255"),
        "offer to the victim": ip(OFFER),
        "offer from another port": ip(UDP(sport=999, dport=68) / LONG),
        "answer as a relay": ip(UDP(sport=67, dport=67) / LONG, OWN, SERVER),
        "offer's first fragment": ip(OFFER, flags="MF"),
        "DHCPv6 answer to all": ip6(ADVERTISE, LINK, EVERYBODY),
        "DHCPv6 answer to the victim": ip6(ADVERTISE),
        "DHCPv6 answer from another port": ip6(UDP(sport=999, dport=546) / LONG),
        "DHCPv6 answer's first fragment": ip6(FRAGMENT(**BEGIN, nh=17) / ADVERTISE),
        "DHCPv6 answer behind options": ip6(IPv6ExtHdrDestOpt() / ADVERTISE),
        "DHCPv6 answer in two fragments": ip6(
            FRAGMENT(**BEGIN, nh=44) / FRAGMENT(**BEGIN, nh=17) / ADVERTISE
        ),
    },
    "closed_port": {
        "ssh of the host": ip(TCP(sport=999, dport=22), OWN, HOST),
        "ssh of a server": ip(TCP(sport=999, dport=22), OWN, SERVER),
        "ssh of a server with FIN": ip(TCP(sport=999, dport=22, flags="SF"), OWN, SERVER),
        "host's remctl from port 53": ip(TCP(sport=53, dport=4373), OWN, HOST),
        "server's port over UDP": ip(UDP(sport=53, dport=88), OWN, SERVER),
        "broadcast on the hosts' network": ip(UDP(sport=1, dport=7), OWN, "192.0.2.255"),
        "tunnel to a server": ip(Raw(LONG), OWN, SERVER, proto=47),
        "ssh of a server by IPv6": ip6(TCP(sport=999, dport=22), OWN6, SERVER6),
        "ssh of the host by its link-local": ip6(TCP(sport=999, dport=22), LINK, vif.ROUTER6),
        "server's port over UDP by IPv6": ip6(UDP(sport=1, dport=88), OWN6, SERVER6),
        "loopback": ip(TCP(sport=999, dport=5432), OWN, "127.0.0.1"),
    },
    "fragment": {
        "first one to the host": ip(UDP(sport=999, dport=53) / LONG, OWN, HOST, flags="MF"),
        "later one to a server": ip(Raw(LONG), OWN, SERVER, proto=6, frag=1),
        "one to a server by IPv6": ip6(FRAGMENT(**BEGIN, nh=17) / UDP(dport=53) / LONG, OWN6, SERVER6),
        "later one to a server by IPv6": ip6(FRAGMENT(offset=9, nh=6) / Raw(LONG), OWN6, SERVER6),
    },
    "hidden": {
        "VLAN tag": ether(Dot1Q(vlan=5) / IP(src=OWN, dst=VICTIM) / PING),
        "VLAN tag of a provider": ether(Dot1AD(vlan=5) / IP(src=OWN, dst=VICTIM) / PING),
        "priority tag": ether(Dot1Q(vlan=0) / ARP(psrc=HOST, hwsrc=MAC)),
        "two tags": ether(Dot1Q(vlan=5) / Dot1Q(vlan=6) / IP(src=VICTIM) / PING),
        "RA in a VLAN": ether(Dot1Q(vlan=5) / IPv6(src=LINK, dst=EVERYBODY, hlim=255) / RA),
        "source route": ip(PING, OWN, VICTIM, options=[IPOption_LSRR(routers=[SERVER])]),
        "IP options of nothing": ip(OFFER, options=[IPOption_LSRR(routers=[])]),
        "cut UDP": ip(Raw(b"\x0f\0\0"), proto=17),
        "tiny first fragment": ip(Raw(b"\0"), proto=17, flags="MF"),
        "RA behind hop-by-hop options": ip6(IPv6ExtHdrHopByHop() / RA, OWN6, VICTIM6, hlim=255),
        "RA behind destination options": ip6(IPv6ExtHdrDestOpt() / RA, hlim=255),
        "RA behind routing": ip6(IPv6ExtHdrRouting(addresses=[SERVER6]) / RA, hlim=255),
        "RA behind options in a fragment": ip6(FRAGMENT(**BEGIN, nh=60) / IPv6ExtHdrDestOpt() / RA, hlim=255),
        "fragment of a fragment": ip6(FRAGMENT(**BEGIN, nh=44) / FRAGMENT(**BEGIN, nh=58) / RA),
        "options to a server": ip6(IPv6ExtHdrDestOpt() / TCP(dport=22), OWN6, SERVER6),
        "tiny first IPv6 fragment": ip6(FRAGMENT(**BEGIN, nh=17) / Raw(b"\x02")),
        "no header follows": ip6(Raw(LONG), nh=59),
    },
    "protocol": {
        "spanning tree": Dot3(src=MAC, dst="01:80:c2:00:00:00") / LLC() / STP(),
        "LLDP": Ether(src=MAC, dst="01:80:c2:00:00:0e", type=0x88CC) / Raw(LONG),
        "old tag": Ether(src=MAC, dst=HOST_MAC, type=0x9100) / Raw(bytes(4)) / IP(src=VICTIM) / PING,
        "PPPoE": Ether(src=MAC, dst=HOST_MAC, type=0x8864) / Raw(LONG),
        "nothing known": Ether(src=MAC, dst=HOST_MAC, type=0x88B5) / Raw(LONG),
    },
    "multicast": {
        "mDNS": ip(UDP(sport=5353, dport=5353), OWN, "224.0.0.251"),
        "broadcast": ip(UDP(sport=1, dport=7), OWN, "255.255.255.255"),
        "mDNS by IPv6": ip6(UDP(sport=5353, dport=5353), LINK, "ff02::fb"),
        "report of groups": ip6(IPv6ExtHdrHopByHop() / ICMPv6MLReport(), LINK, REPORTS),
    },
}
# Seen by nothing but the host behind the rules.
PASSED = """\
table netdev behind {
    chain guests { type filter hook ingress devices = { inv17, inv18 } priority 500; counter; }
}
"""


def run(*argv: str, input: str | None = None, check: bool = True) -> str:
    return subprocess.run(argv, check=check, input=input, capture_output=True, text=True).stdout


def counters() -> Mapping[str, int]:
    """The attacker's."""
    [row] = [row for row in vif.counters() if row["interface"] == "inv17"]
    return {name: value for name, value in row.items() if isinstance(value, int)}


def behind() -> int:
    """How many of guests' frames came past their rules."""
    rule = json.loads(run("nft", "-j", "list", "chain", "netdev", "behind", "guests"))["nftables"][-1]
    return int(rule["rule"]["expr"][0]["counter"]["packets"])


def sent(tap: int, victim: int, frame: Packet) -> dict[str, object]:
    """What became of a frame."""
    drain(victim)
    numbers, before = counters(), behind()
    os.write(tap, HEADER + bytes(frame))
    now, past = counters(), behind()
    rose = [name for name, value in now.items() if value != numbers[name]]
    return {"counters": rose, "host": past - before, "victim": len(drain(victim))}


def unguarded(tap: int) -> list[str]:
    """Those of the forged frames that the host gets while there are no rules."""
    run("nft", "-f", "-", input=PASSED)
    run("ip", "link", "set", "inv18", "up")
    found = []
    for name, frame in forged().items():
        before = behind()
        os.write(tap, HEADER + bytes(frame))
        if behind() != before:
            found.append(name)
    return found


def forged() -> dict[str, Packet]:
    """All, by their counter's name and their own."""
    return {f"{reason}: {name}": frame for reason, frames in FORGED.items() for name, frame in frames.items()}


def too_early(tap: int) -> bool:
    """Whether a guest can't send yet, or any more."""
    try:
        os.write(tap, HEADER + bytes(HONEST["packet"]))
    except OSError:
        return True
    return False


def drain(tap: int, seconds: float = 0.005) -> list[bytes]:
    """The IP packets that reached a guest; what the host itself asks on its link aside."""
    frames = []
    while select.select([tap], [], [], seconds)[0]:
        frame = Ether(os.read(tap, 4000)[len(HEADER) :])
        if IP in frame or (IPv6 in frame and not frame[IPv6].src.startswith("fe80:")):
            frames.append(bytes(frame))
    return frames


def set_up() -> tuple[int, int]:
    """A host on a network of its own, with the attacker's and the victim's taps, which are returned."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
    run("ip", "address", "add", f"{HOST}/24", "dev", "up0")
    run("ip", "address", "add", "2001:db8::1/64", "dev", "up0", "nodad")
    for end in ("up0", "up1"):
        run("ip", "link", "set", end, "up")
    for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        with open(f"/proc/sys/net/{setting}", "w") as file:
            file.write("1")
    run("ip", "route", "add", "default", "dev", "up0")
    tap, victim = vif.tap("inv17"), vif.tap("inv18")
    run("ip", "link", "set", "inv17", "address", HOST_MAC)
    run("nft", "-f", "-", input=PASSED)
    return tap, victim


def guard() -> None:
    """As it is done for guests, the attacker's as for QEMU, the victim's as for Xen."""
    vif.add("inv17", MAC, [OWN, OWN6], "d_remus", owned=True)
    vif.add("inv18", VICTIM_MAC, [VICTIM, VICTIM6], "d_victim")
    vif.add("inv18", VICTIM_MAC, [VICTIM, VICTIM6], "d_victim")  # again: the same
    for address in (VICTIM, VICTIM6):
        run("ip", "neighbour", "replace", address, "lladdr", VICTIM_MAC, "dev", "inv18")


def answers(tap: int) -> list[str]:
    """Whom the host answers for, when the guest asks for its ways out."""
    drain(tap)
    for question in (HONEST["ARP request"], HONEST["solicitation for the router"]):
        os.write(tap, HEADER + bytes(question))
    found = []
    while select.select([tap], [], [], 0.5)[0]:
        frame = Ether(os.read(tap, 4000)[len(HEADER) :])
        if ARP in frame and frame[ARP].op == 2:
            found.append(frame[ARP].psrc)
        if ICMPv6ND_NA in frame:
            found.append(frame[ICMPv6ND_NA].tgt)
    return sorted(set(found))


def tables() -> list[str]:
    return [line.split()[-1] for line in run("nft", "list", "tables").splitlines()]


def main() -> None:
    tap, victim = set_up()
    result: dict[str, object] = {"early": too_early(tap)}
    guard()
    result["honest"] = {name: sent(tap, victim, frame) for name, frame in HONEST.items()}
    result["forged"] = {name: sent(tap, victim, frame) for name, frame in forged().items()}
    before = counters()
    run("busybox", "ping", "-c", "1", "-w", "1", "-I", "inv17", "224.0.0.1", check=False)
    result["own"] = [name for name, value in counters().items() if value != before[name]]
    result["answers"] = answers(tap)
    result["proxies"] = sorted(
        line.split()[0] for line in run("ip", "neighbour", "show", "proxy").splitlines()
    )
    run("nft", "flush", "ruleset")
    result["flushed"] = tables()
    vif.reload()
    result["reloaded"] = tables()
    for _ in range(2):  # gone: no error
        vif.remove("inv18", [VICTIM, VICTIM6])
    result["late"] = too_early(victim)
    result["left"] = tables()
    result["left proxies"] = run("ip", "neighbour", "show", "proxy").split()[::4]
    result["unguarded"] = unguarded(victim)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
