"""What a guest must not get through: a function for each of the rules' counters, named as it is."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6MLReport,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, LLC, STP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.packet import Packet, Raw

from invirt.host.network.routes import ROUTER6
from tests.parts.host.frames import (
    ADVERTISE,
    BEGIN,
    EVERYBODY,
    FRAGMENT,
    LONG,
    NONCE,
    OFFER,
    OUTSIDE,
    PING,
    PING6,
    REPORTS,
    ROUTERS,
    SOURCE,
    TARGET,
    Place,
)

Frames = dict[str, Packet]
LSRR = IPOption_LSRR
DEST = IPv6ExtHdrDestOpt


def forged(place: Place) -> Frames:
    """All, by their counter's name and their own."""
    return {f"{kind.__name__}: {name}": frame for kind in KINDS for name, frame in kind(place).items()}


def foreign_mac(p: Place) -> Frames:
    mac, request = p.victim_mac, IP(src="0.0.0.0", dst="255.255.255.255") / p.request(p.victim_mac)
    return {
        "packet": p.ether(IP(src=p.own, dst=p.victim) / PING, mac),
        "ARP request": p.ether(ARP(psrc=p.own, hwsrc=p.mac), mac),
        "IPv6 packet": p.ether(IPv6(src=p.own6, dst=p.victim6) / PING6, mac),
        "DHCP request": p.ether(request, mac),
        "tagged packet": p.ether(Dot1Q(vlan=5) / IP(src=p.own, dst=p.victim) / PING, mac),
    }


def foreign_ip(p: Place) -> Frames:
    return {
        "packet of the victim's": p.ip(PING, p.victim, OUTSIDE),
        "packet to the victim from outside": p.ip(PING, OUTSIDE),
        "packet of the host's": p.ip(PING, p.host),
        "packet of the server's to the host": p.ip(UDP(sport=53, dport=999), p.server, p.host),
        "packet from loopback": p.ip(PING, "127.0.0.1", p.host),
        "packet from nobody": p.ip(PING, "0.0.0.0"),
        "later fragment": p.ip(Raw(LONG), p.victim, OUTSIDE, proto=17, frag=8),
    }


def foreign_ip6(p: Place) -> Frames:
    asks = ICMPv6ND_NS(tgt=ROUTER6) / SOURCE(lladdr=p.mac)
    return {
        "packet of the victim's": p.ip6(PING6, p.victim6),
        "packet of the victim's link-local": p.ip6(PING6, p.victim_link, ROUTER6),
        "packet of the router's": p.ip6(PING6, ROUTER6, EVERYBODY),
        "UDP from nobody": p.ip6(UDP(sport=1, dport=7), "::"),
        "fragment": p.ip6(FRAGMENT(**BEGIN, nh=58) / PING6, p.victim6, p.server6),
        "solicitation of the victim's": p.nd(asks, p.victim_link),
        "RA of the router's": p.nd(p.advertisement, ROUTER6),
    }


def foreign_arp(p: Place) -> Frames:
    return {
        "answer for the victim": p.arp(p.victim, op=2),
        "answer for the gateway": p.arp(p.host, op=2, pdst=p.victim),
        "announcement of the gateway": p.arp(p.host, pdst=p.host),
        "answer with another's MAC": p.arp(p.own, p.victim_mac, op=2),
        "request with another's MAC": p.arp(p.own, p.victim_mac),
        "reverse ARP": p.arp(p.own, op=3),
        "lengths that shift": p.arp(p.own, hwlen=8),
        "lengths of IPv6": p.arp(p.own, plen=16),
        "kind of hardware": p.arp(p.own, hwtype=6),
        "cut": Ether(bytes(p.arp(p.own))[:24]),
    }


def foreign_nd(p: Place) -> Frames:
    nd, mac, other = p.nd, p.mac, p.victim_mac
    twice = TARGET(lladdr=mac) / TARGET(lladdr=other)
    return {
        "advertisement for the victim": nd(ICMPv6ND_NA(tgt=p.victim6) / TARGET(lladdr=mac)),
        "advertisement for the router": nd(ICMPv6ND_NA(tgt=ROUTER6, R=1) / TARGET(lladdr=mac)),
        "advertisement with another's MAC": nd(ICMPv6ND_NA(tgt=p.own6) / TARGET(lladdr=other)),
        "advertisement with two MACs": nd(ICMPv6ND_NA(tgt=p.own6) / twice),
        "advertisement from afar": nd(ICMPv6ND_NA(tgt=p.own6), p.own6, p.victim6, hlim=64),
        "solicitation with another's MAC": nd(ICMPv6ND_NS(tgt=ROUTER6) / SOURCE(lladdr=other)),
        "solicitation that hides a MAC": nd(ICMPv6ND_NS(tgt=ROUTER6) / NONCE / SOURCE(lladdr=other)),
        "claim of the victim's address": nd(ICMPv6ND_NS(tgt=p.victim6), "::"),
        "claim of the router's address": nd(ICMPv6ND_NS(tgt=ROUTER6), "::"),
        "claim with a MAC": nd(ICMPv6ND_NS(tgt=p.own6) / SOURCE(lladdr=mac), "::"),
        "ping from nobody": nd(PING6, "::"),
        "question for routers with another's MAC": nd(ICMPv6ND_RS() / SOURCE(lladdr=other), "", ROUTERS),
    }


def router(p: Place) -> Frames:
    ra, elsewhere = p.advertisement, IP(src=p.victim, dst=OUTSIDE)
    return {
        "RA": p.nd(ra),
        "RA to the victim alone": p.nd(ra, p.link, p.victim6),
        "RA from its own address": p.nd(ra, p.own6),
        "redirect": p.nd(ICMPv6ND_Redirect(tgt=p.link, dst=p.server6), p.link, p.victim6),
        "RA behind a fragment's header": p.ip6(FRAGMENT(offset=0, m=0, nh=58) / ra, hlim=255),
        "RA to the host behind nothing": p.nd(ra, p.link, ROUTER6),
        "IPv4 redirect": p.ip(ICMP(type="redirect", code=1, gw=p.own) / elsewhere),
        "IPv4 router advertisement": p.ip(ICMP(type=9)),
    }


def foreign_dhcp(p: Place) -> Frames:
    def rebinding(**fields: object) -> Packet:
        return p.ip(p.request(**fields), p.own, "255.255.255.255")

    foreign = p.request(p.victim_mac)
    return {
        "request in the victim's name": p.ip(foreign, "0.0.0.0", "255.255.255.255"),
        "renewal in the victim's name": p.ip(foreign, p.own, p.server),
        "renewal from the victim's address": p.ip(foreign, p.victim, p.server),
        "rebinding in the victim's name": p.ip(foreign, p.own, "255.255.255.255"),
        "request as a relay": p.ip(p.request(giaddr=p.own), p.own, p.server),
        "answer from a client's port": rebinding(op=2),
        "kind of hardware": rebinding(htype=6),
        "length of its address": rebinding(hlen=8),
        "cut": p.ip(UDP(sport=68, dport=67) / Raw(bytes(20)), p.own, p.server),
    }


def dhcp_answer(p: Place) -> Frames:
    twice = FRAGMENT(**BEGIN, nh=44) / FRAGMENT(**BEGIN, nh=17) / ADVERTISE
    return {
        "offer to all": p.ip(OFFER, p.own, "255.255.255.255"),
        "offer to the victim": p.ip(OFFER),
        "offer from another port": p.ip(UDP(sport=999, dport=68) / LONG),
        "answer as a relay": p.ip(UDP(sport=67, dport=67) / LONG, p.own, p.server),
        "offer's first fragment": p.ip(OFFER, flags="MF"),
        "DHCPv6 answer to all": p.ip6(ADVERTISE, p.link, EVERYBODY),
        "DHCPv6 answer to the victim": p.ip6(ADVERTISE),
        "DHCPv6 answer from another port": p.ip6(UDP(sport=999, dport=546) / LONG),
        "DHCPv6 answer's first fragment": p.ip6(FRAGMENT(**BEGIN, nh=17) / ADVERTISE),
        "DHCPv6 answer behind options": p.ip6(DEST() / ADVERTISE),
        "DHCPv6 answer in two fragments": p.ip6(twice),
    }


def closed_port(p: Place) -> Frames:
    ssh = TCP(sport=999, dport=22)
    return {
        "ssh of the host": p.ip(ssh, p.own, p.host),
        "ssh of a server": p.ip(ssh, p.own, p.server),
        "ssh of a server with FIN": p.ip(TCP(sport=999, dport=22, flags="SF"), p.own, p.server),
        "host's remctl from port 53": p.ip(TCP(sport=53, dport=4374), p.own, p.host),
        "server's port over UDP": p.ip(UDP(sport=53, dport=88), p.own, p.server),
        "broadcast on the hosts' network": p.ip(UDP(sport=1, dport=7), p.own, p.broadcast),
        "tunnel to a server": p.ip(Raw(LONG), p.own, p.server, proto=47),
        "ssh of a server by IPv6": p.ip6(ssh, p.own6, p.server6),
        "ssh of the host by its link-local": p.ip6(ssh, p.link, ROUTER6),
        "server's port over UDP by IPv6": p.ip6(UDP(sport=1, dport=88), p.own6, p.server6),
        "loopback": p.ip(TCP(sport=999, dport=5432), p.own, "127.0.0.1"),
    }


def foreign_icmp(p: Place) -> Frames:
    """Errors lower others' path MTUs and end their connections."""
    to_victim, from_victim = IP(src=p.server, dst=p.victim), IP(src=p.victim, dst=p.server)
    to_victim6 = IPv6(src=p.server6, dst=p.victim6) / PING6
    big = ICMP(type=3, code=4, nexthopmtu=600)
    big6 = ICMPv6PacketTooBig(mtu=1280)
    replied = IP(src=p.host, dst=OUTSIDE) / ICMP(type="echo-reply")  # the one that the kernel itself sends
    own = IP(src=p.server, dst=p.own)
    return {
        "fragmentation needed, to a server": p.ip(big / to_victim / PING, p.own, p.server),
        "fragmentation needed, to the host": p.ip(big / replied, p.own, p.host),
        "fragmentation needed, to the victim": p.ip(big / from_victim / PING),
        "fragmentation needed, to outside": p.ip(big / IP(src=OUTSIDE) / PING, p.own, OUTSIDE),
        "about what itself sent": p.ip(big / IP(src=p.own, dst=p.server) / PING, p.own, p.server),
        "port unreachable": p.ip(ICMP(type=3, code=3) / from_victim / UDP()),
        "time exceeded": p.ip(ICMP(type=11) / to_victim / TCP(), p.own, p.server),
        "parameter problem": p.ip(ICMP(type=12) / from_victim / TCP()),
        "source quench": p.ip(ICMP(type=4) / from_victim / TCP()),
        "cut before the destination": p.ip(big / Raw(bytes(own)[:16]), p.own, p.server),
        "destination in the next fragment": p.ip(big / Raw(bytes(own)[:16]), flags="MF"),
        "error's first fragment": p.ip(big / from_victim / PING, flags="MF"),
        "of another version": p.ip(big / Raw(b"\x65" + bytes(own)[1:]), p.own, p.server),
        "too big, to a server": p.ip6(big6 / to_victim6, p.own6, p.server6),
        "too big, to the host": p.ip6(big6 / to_victim6, p.link, ROUTER6),
        "too big, to the victim": p.ip6(big6 / IPv6(src=p.victim6, dst=p.server6) / PING6),
        "too big, in a fragment": p.ip6(FRAGMENT(**BEGIN, nh=58) / big6 / to_victim6),
        "too big, cut": p.ip6(big6 / Raw(bytes(to_victim6)[:24])),
        "unreachable by IPv6": p.ip6(ICMPv6DestUnreach() / to_victim6, p.own6, p.server6),
        "time exceeded by IPv6": p.ip6(ICMPv6TimeExceeded() / to_victim6, p.own6, p.server6),
        "parameter problem by IPv6": p.ip6(ICMPv6ParamProblem() / to_victim6),
    }


def fragment(p: Place) -> Frames:
    return {
        "first one to the host": p.ip(UDP(sport=999, dport=53) / LONG, p.own, p.host, flags="MF"),
        "later one to a server": p.ip(Raw(LONG), p.own, p.server, proto=6, frag=1),
        "first one of a DHCP request": p.ip(p.request(), p.own, p.server, flags="MF"),
        "one to a server by IPv6": p.ip6(FRAGMENT(**BEGIN, nh=17) / UDP(dport=53) / LONG, p.own6, p.server6),
        "later one to a server by IPv6": p.ip6(FRAGMENT(offset=9, nh=6) / Raw(LONG), p.own6, p.server6),
    }


def hidden(p: Place) -> Frames:
    ra, to_victim = p.advertisement, IP(src=p.own, dst=p.victim)
    twice = FRAGMENT(**BEGIN, nh=44) / FRAGMENT(**BEGIN, nh=58)
    return {
        "VLAN tag": p.ether(Dot1Q(vlan=5) / to_victim / PING),
        "VLAN tag of a provider": p.ether(Dot1AD(vlan=5) / to_victim / PING),
        "priority tag": p.ether(Dot1Q(vlan=0) / ARP(psrc=p.host, hwsrc=p.mac)),
        "two tags": p.ether(Dot1Q(vlan=5) / Dot1Q(vlan=6) / IP(src=p.victim) / PING),
        "RA in a VLAN": p.ether(Dot1Q(vlan=5) / IPv6(src=p.link, dst=EVERYBODY, hlim=255) / ra),
        "source route": p.ip(PING, options=[LSRR(routers=[p.server])]),
        "IP options of nothing": p.ip(OFFER, options=[LSRR(routers=[])]),
        "cut UDP": p.ip(Raw(b"\x0f\0\0"), proto=17),
        "tiny first fragment": p.ip(Raw(b"\0"), proto=17, flags="MF"),
        "RA behind hop-by-hop options": p.ip6(IPv6ExtHdrHopByHop() / ra, hlim=255),
        "RA behind destination options": p.ip6(DEST() / ra, hlim=255),
        "RA behind routing": p.ip6(IPv6ExtHdrRouting(addresses=[p.server6]) / ra, hlim=255),
        "RA behind options in a fragment": p.ip6(FRAGMENT(**BEGIN, nh=60) / DEST() / ra, hlim=255),
        "fragment of a fragment": p.ip6(twice / ra),
        "options to a server": p.ip6(DEST() / TCP(dport=22), p.own6, p.server6),
        "tiny first IPv6 fragment": p.ip6(FRAGMENT(**BEGIN, nh=17) / Raw(b"\x02")),
        "no header follows": p.ip6(Raw(LONG), nh=59),
    }


def protocol(p: Place) -> Frames:
    def frame(kind: int, payload: Packet, dst: str = p.host_mac) -> Packet:
        return Ether(src=p.mac, dst=dst, type=kind) / payload

    return {
        "spanning tree": Dot3(src=p.mac, dst="01:80:c2:00:00:00") / LLC() / STP(),
        "LLDP": frame(0x88CC, Raw(LONG), "01:80:c2:00:00:0e"),
        "old tag": frame(0x9100, Raw(bytes(4)) / IP(src=p.victim) / PING),
        "PPPoE": frame(0x8864, Raw(LONG)),
        "nothing known": frame(0x88B5, Raw(LONG)),
    }


def multicast(p: Place) -> Frames:
    return {
        "mDNS": p.ip(UDP(sport=5353, dport=5353), p.own, "224.0.0.251"),
        "broadcast": p.ip(UDP(sport=1, dport=7), p.own, "255.255.255.255"),
        "mDNS by IPv6": p.ip6(UDP(sport=5353, dport=5353), p.link, "ff02::fb"),
        "report of groups": p.ip6(IPv6ExtHdrHopByHop() / ICMPv6MLReport(), p.link, REPORTS),
    }


KINDS = (
    *(foreign_mac, foreign_ip, foreign_ip6, foreign_arp, foreign_nd, router, foreign_dhcp),
    *(dhcp_answer, closed_port, foreign_icmp, fragment, hidden, protocol, multicast),
)
