"""Word to a host's neighbours that a guest's address is reached by this host now.

Else they would go on by the host where it was before, maybe a dead one, until
they ask again.  The kernel answers for addresses that aren't its own (proxy
ARP), but announces none of them.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path

ETHERNET, ARP, IPV6, ICMPV6 = 1, 0x0806, 0x86DD, 58
ADVERTISEMENT, OVERRIDE = 136, 0x20000000
LINK_LOCAL = "20"  # the scope, in /proc/net/if_inet6
ALL_NODES = IPv6Address("ff02::1").packed


def announce(address: str, uplink: str) -> None:
    """Tell all on the uplink, once.  It never waits, and where it can't be said nothing is lost but time."""
    with suppress(OSError), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((uplink, 0))
        *_, kind, mac = link.getsockname()
        if kind == ETHERNET:
            link.send(
                advertisement(address, mac, _own(uplink)) if ":" in address else gratuitous(address, mac)
            )


def gratuitous(address: str, mac: bytes) -> bytes:
    """The frame of an ARP announcement (RFC 5227, 3)."""
    ip = socket.inet_aton(address)
    head = struct.pack("!6s6sHHHBBH", b"\xff" * 6, mac, ARP, ETHERNET, 0x0800, 6, 4, 1)
    return head + mac + ip + bytes(6) + ip


def advertisement(address: str, mac: bytes, own: IPv6Address) -> bytes:
    """The frame of an unsolicited neighbour advertisement (RFC 4861, 7.2.6).

    own: the link-local address of who sends it.
    """
    said = ip_address(address).packed + struct.pack("!BB6s", 2, 1, mac)
    length = 8 + len(said)
    summed = (
        own.packed + ALL_NODES + struct.pack("!IIBBHI", length, ICMPV6, ADVERTISEMENT, 0, 0, OVERRIDE) + said
    )
    message = struct.pack("!BBHI", ADVERTISEMENT, 0, _checksum(summed), OVERRIDE) + said
    head = struct.pack("!6s6sHIHBB", b"\x33\x33\x00\x00\x00\x01", mac, IPV6, 6 << 28, length, ICMPV6, 255)
    return head + own.packed + ALL_NODES + message


def _checksum(words: bytes) -> int:
    """Of the internet (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _own(interface: str) -> IPv6Address:
    """The interface's link-local address; OSError if it has none."""
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        address, _, _, scope, _, name = line.split()
        if (scope, name) == (LINK_LOCAL, interface):
            return IPv6Address(bytes.fromhex(address))
    raise OSError(f"{interface} has no link-local address")
