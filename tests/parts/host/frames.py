"""Frames of a guest, made for the place that it has: its own addresses and others'."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import DHCP6_Advertise
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from invirt.host.network.addresses import link_local

EVERYBODY, ROUTERS, REPORTS = "ff02::1", "ff02::2", "ff02::16"
OUTSIDE = "203.0.113.9"
LONG = bytes(64)
PING, PING6 = ICMP(type="echo-request"), ICMPv6EchoRequest()
OFFER = UDP(sport=67, dport=68) / BOOTP(op=2) / DHCP(options=[("message-type", "offer"), "end"])
ADVERTISE = UDP(sport=547, dport=546) / DHCP6_Advertise()
SOURCE, TARGET = ICMPv6NDOptSrcLLAddr, ICMPv6NDOptDstLLAddr
FRAGMENT, BEGIN = IPv6ExtHdrFragment, {"offset": 0, "m": 1}
NONCE = Raw(b"\x0e\x01abcdef")


@dataclass(frozen=True)
class Place:
    """The guest that sends, another that is the victim, their host, and a server beside it."""

    mac: str
    own: str
    own6: str
    victim_mac: str
    victim: str
    victim6: str
    host: str
    host_mac: str
    server: str
    server6: str

    @property
    def link(self) -> str:
        """The guest's own link-local address."""
        return str(link_local(self.mac))

    @property
    def victim_link(self) -> str:
        """The victim's."""
        return str(link_local(self.victim_mac))

    @property
    def broadcast(self) -> str:
        """Of the hosts' network."""
        return str(ipaddress.ip_network(f"{self.host}/24", strict=False).broadcast_address)

    @property
    def advertisement(self) -> Packet:
        """A router's, which makes the guest a router."""
        prefix = ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::")
        return ICMPv6ND_RA() / prefix / SOURCE(lladdr=self.mac)

    def ether(self, payload: Packet, mac: str = "") -> Packet:
        """To the host, from the guest's MAC unless another is given; so below, from its addresses."""
        return Ether(src=mac or self.mac, dst=self.host_mac) / payload

    def ip(self, payload: Packet, src: str = "", dst: str = "", **fields: object) -> Packet:
        """To the victim, unless another is given."""
        return self.ether(IP(src=src or self.own, dst=dst or self.victim, **fields) / payload)

    def ip6(self, payload: Packet, src: str = "", dst: str = "", **fields: object) -> Packet:
        """The same by IPv6."""
        return self.ether(IPv6(src=src or self.own6, dst=dst or self.victim6, **fields) / payload)

    def nd(self, payload: Packet, src: str = "", dst: str = EVERYBODY, hlim: int = 255) -> Packet:
        """Neighbour discovery."""
        return self.ip6(payload, src or self.link, dst, hlim=hlim)

    def arp(self, sender: str, mac: str = "", **fields: object) -> Packet:
        """ARP that speaks for sender."""
        return self.ether(ARP(hwsrc=mac or self.mac, psrc=sender, **{"pdst": self.host, **fields}))

    def request(self, mac: str = "", **fields: object) -> Packet:
        """A DHCP request, from the guest's MAC unless another is given."""
        address = bytes.fromhex((mac or self.mac).replace(":", ""))
        options = DHCP(options=[("message-type", "discover"), "end"])
        return UDP(sport=68, dport=67) / BOOTP(**{"op": 1, "chaddr": address, **fields}) / options
