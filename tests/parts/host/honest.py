"""What a guest sends that means no harm."""

from __future__ import annotations

from scapy.layers.dhcp6 import DHCP6_Solicit
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    ICMPv6PacketTooBig,
    IPv6,
)
from scapy.packet import Packet, Raw

from invirt.host.network.routes import ROUTER6
from tests.parts.host.frames import (
    BEGIN,
    FRAGMENT,
    LONG,
    NONCE,
    OUTSIDE,
    PING,
    PING6,
    ROUTERS,
    SOURCE,
    TARGET,
    Place,
)


def to_others(place: Place) -> dict[str, Packet]:
    """To the victim: the host sends it on."""
    ip, ip6 = place.ip, place.ip6
    return {
        "packet": ip(UDP(sport=1, dport=7) / LONG),
        "packet over TCP": ip(TCP(sport=1, dport=22)),
        "ping": ip(PING),
        "first fragment": ip(UDP(sport=1, dport=7) / LONG, flags="MF"),
        "later fragment": ip(Raw(LONG), proto=17, frag=8),
        "IPv6 packet": ip6(UDP(sport=1, dport=7) / LONG),
        "IPv6 packet over TCP": ip6(TCP(sport=1, dport=22)),
        "IPv6 ping": ip6(PING6),
        "first IPv6 fragment": ip6(FRAGMENT(**BEGIN, nh=17) / UDP(sport=1, dport=7) / LONG),
        "port unreachable": ip(ICMP(type=3, code=3) / IP(src=place.victim, dst=place.own) / UDP()),
        "too big by IPv6": ip6(ICMPv6PacketTooBig() / IPv6(src=place.victim6, dst=place.own6) / PING6),
        "later IPv6 fragment": ip6(FRAGMENT(offset=9, m=0, nh=17) / Raw(LONG)),
    }


def to_host(place: Place) -> dict[str, Packet]:
    """To the host, and by it to servers."""
    arp, ip, nd = place.arp, place.ip, place.nd
    own, host, server, link = place.own, place.host, place.server, place.link
    return {
        "DHCP request": ip(place.request(), "0.0.0.0", "255.255.255.255"),
        "DHCP request that rebinds": ip(place.request(ciaddr=own), own, "255.255.255.255"),
        "DHCP request to the server": ip(place.request(ciaddr=own), own, server),
        "DHCP request from the address of before": ip(place.request(), OUTSIDE, server),
        "ARP request": arp(own, pdst=OUTSIDE),
        "ARP answer": arp(own, op=2),
        "ARP probe": arp("0.0.0.0", pdst=own),
        "ping of the host": ip(PING, own, host),
        "DNS question to a server": ip(UDP(sport=999, dport=53) / LONG, own, server),
        "DNS question to the host by TCP": ip(TCP(sport=999, dport=53), own, host),
        "answer to a server by TCP": ip(TCP(sport=22, dport=999, flags="SA"), own, server),
        "fragmentation needed": ip(
            ICMP(type=3, code=4, nexthopmtu=1400) / IP(src=server, dst=own) / TCP(), own, server
        ),
        "IPv6 port unreachable": place.ip6(
            ICMPv6DestUnreach(code=4) / IPv6(src=place.server6, dst=place.own6) / UDP(),
            place.own6,
            place.server6,
        ),
        "traceroute": ip(UDP(sport=33434, dport=33434), own, OUTSIDE, ttl=1),
        "solicitation for an address of its own": nd(ICMPv6ND_NS(tgt=place.own6), "::"),
        "the same with a nonce": nd(ICMPv6ND_NS(tgt=link) / NONCE, "::"),
        "solicitation for the router": nd(ICMPv6ND_NS(tgt=ROUTER6) / SOURCE(lladdr=place.mac)),
        "advertisement of its address": nd(ICMPv6ND_NA(tgt=place.own6) / TARGET(lladdr=place.mac)),
        "question for routers": nd(ICMPv6ND_RS() / SOURCE(lladdr=place.mac), link, ROUTERS),
        "question for routers from nobody": nd(ICMPv6ND_RS(), "::", ROUTERS),
        "DHCPv6 question": place.ip6(UDP(sport=546, dport=547) / DHCP6_Solicit(), link, "ff02::1:2"),
        "IPv6 DNS question": place.ip6(UDP(sport=999, dport=53) / LONG, place.own6, place.server6),
    }
