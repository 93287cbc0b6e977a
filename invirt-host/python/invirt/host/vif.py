"""A guest's end of the network: what it may send, and the way to it.

Between guest and host there is a link of its own, no bridge: a /32 route
leads to the guest, and the host answers ARP for everybody else.  nftables
drop at the link's very entrance what is not from the guest's own MAC and
address, and what only a router or a DHCP server may say.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import re
import struct
from pathlib import Path

from invirt.base.errors import BadInput, CommandFailed
from invirt.base.process import run

TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 0x2, 0x1000, 0x4000

RULES = """\
table netdev invirt_{interface}
delete table netdev invirt_{interface}
table netdev invirt_{interface} {{
    chain guest {{
        type filter hook ingress device "{interface}" priority -500; policy drop;
        ether saddr != {mac} counter drop comment "MAC of another"
        ether type {{ 8021q, 8021ad }} counter drop comment "VLAN tag"
        ether type arp jump arp_of_guest
        ether type ip jump ip_of_guest
        ether type ip6 counter drop comment "IPv6"
        counter drop comment "protocol"
    }}
    chain arp_of_guest {{
        arp saddr ether != {mac} counter drop comment "ARP: MAC of another"
        arp saddr ip != {{ 0.0.0.0, {ip} }} counter drop comment "ARP: address of another"
        arp operation {{ request, reply }} counter accept
        counter drop comment "ARP: operation"
    }}
    chain ip_of_guest {{
        ip saddr 0.0.0.0 udp sport 68 udp dport 67 counter accept comment "DHCP request"
        ip saddr != {ip} counter drop comment "address of another"
        udp sport 67 counter drop comment "DHCP answer"
        counter accept
    }}
}}
"""

SETTINGS = {
    "ipv4/conf/{interface}/proxy_arp": "1",
    "ipv4/neigh/{interface}/proxy_delay": "0",
    "ipv4/conf/{interface}/rp_filter": "1",
    "ipv4/conf/{interface}/accept_redirects": "0",
    "ipv4/conf/{interface}/send_redirects": "0",
    "ipv6/conf/{interface}/disable_ipv6": "1",
}


def interface(nic_id: int) -> str:
    """The host's end of a guest's nic: unique, and at most the 15 letters that Linux takes."""
    return f"inv{nic_id}"


def rules(interface: str, mac: str, ip: str) -> str:
    """The nftables of one guest's interface, in a table of their own; BadInput for what isn't one."""
    if not re.fullmatch(r"[a-z][a-z0-9]{0,14}", interface):
        raise BadInput(f"{interface!a} is no name of an interface")
    if not re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", mac):
        raise BadInput(f"{mac!a} is no MAC address")
    try:
        address = ipaddress.IPv4Address(ip)
    except ValueError as error:
        raise BadInput(f"{ip!a} is no IPv4 address") from error
    return RULES.format(interface=interface, mac=mac, ip=address)


def tap(interface: str) -> int:
    """A new tap interface, down; it goes away when the descriptor that is returned is closed."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
    try:
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", interface.encode(), flags))
    except OSError as error:
        os.close(descriptor)
        raise CommandFailed(f"can't make the interface {interface}: {error.strerror}") from error
    return descriptor


def add(interface: str, mac: str, ip: str) -> None:
    """Guard the interface, bring it up, and lead the guest's address to it, in this order."""
    run(["nft", "-f", "-"], input=rules(interface, mac, ip))
    for name, value in SETTINGS.items():
        path = Path("/proc/sys/net", name.format(interface=interface))
        if path.exists():  # no IPv6 on some hosts
            path.write_text(value)
    run(["ip", "link", "set", interface, "up"])
    run(["ip", "route", "replace", f"{ip}/32", "dev", interface])


def remove(interface: str) -> None:
    """Take away what add() made; the interface, and with it the route, may be gone already."""
    run(["ip", "link", "set", interface, "down"], check=False)
    table = f"table netdev invirt_{interface}"
    run(["nft", "-f", "-"], input=f"{table}\ndelete {table}\n")
