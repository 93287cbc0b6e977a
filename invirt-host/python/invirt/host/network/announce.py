"""Word to a host's neighbours that a guest's address is reached by this host now.

Else they would go on by the host where it was before, maybe a dead one, until
they ask again.  The kernel answers for addresses that aren't its own (proxy
ARP), but announces none of them.  A frame may be lost, so it is said several
times, by a process of its own: nobody waits for that.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from invirt.base.process import run

ETHERNET, ARP, IPV6, ICMPV6 = 1, 0x0806, 0x86DD, 58
ADVERTISEMENT, OVERRIDE = 136, 0x20000000
LINK_LOCAL = "20"  # the scope, in /proc/net/if_inet6
ALL_NODES = IPv6Address("ff02::1").packed
TIMES, EVERY = 5, 1.0  # how often it is said, and seconds between
# It runs on by itself, as nobody's child; a boot has the CPU until it begins.
APART = ["sh", "-c", f'(sleep {EVERY}; exec "$@") >/dev/null 2>&1 &', "sh"]


def announce(interface: str, uplinks: Mapping[str, str], soon: bool = False) -> None:
    """Tell all on the uplinks, by address, that the guest behind the interface is reached by this host.

    soon: not now, but within EVERY; the kernel takes 20 ms for a socket that says it.
    """
    for address, uplink in uplinks.items() if not soon else ():
        _say(address, uplink)
    if uplinks:
        words = [f"{address}={uplink}" for address, uplink in uplinks.items()]
        run([*APART, sys.executable, "-P", "-m", __name__, interface, *words])


def _go_on(interface: str, words: list[str]) -> None:
    """Say it again, as long as the addresses lead to the interface: the guest may be elsewhere by then."""
    uplinks = dict(word.split("=") for word in words)
    for again in range(TIMES - 1):
        time.sleep(EVERY if again else 0)  # before the first one its shell did
        for address in uplinks:
            if _leads(address, interface):
                _say(address, uplinks[address])


def _leads(address: str, interface: str) -> bool:
    found = run(["ip", "-json", "route", "get", address], check=False).stdout
    return bool(found.strip()) and json.loads(found)[0].get("dev") == interface


def _say(address: str, uplink: str) -> None:
    """Once.  It never waits, and where it can't be said nothing is lost but time."""
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


if __name__ == "__main__":
    _go_on(sys.argv[1], sys.argv[2:])
