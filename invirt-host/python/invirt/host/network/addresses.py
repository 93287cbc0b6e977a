"""Addresses of guests and servers, as rules and routes want them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from invirt.base.errors import BadInput


def link_local(mac: str) -> ipaddress.IPv6Address:
    """The link-local address that belongs to a MAC (RFC 4291, appendix A)."""
    number = int(mac.replace(":", ""), 16) ^ 1 << 41
    return ipaddress.IPv6Address(0xFE80 << 112 | (number >> 24) << 40 | 0xFFFE << 24 | number & 0xFFFFFF)


def split(addresses: Iterable[str]) -> tuple[list[ipaddress.IPv4Address], list[ipaddress.IPv6Address]]:
    """The IPv4 and the IPv6 ones among a guest's addresses; BadInput for others."""
    own: list[ipaddress.IPv4Address] = []
    own6: list[ipaddress.IPv6Address] = []
    for text in addresses:
        try:
            if "%" in text:  # a scope is any text, and would be taken as it is
                raise ValueError(text)
            address = ipaddress.ip_address(text)
        except ValueError as error:
            raise BadInput(f"{text!a} is no address") from error
        unusable = address.is_unspecified or address.is_loopback or address.is_multicast
        if unusable or address.is_link_local:
            raise BadInput(f"{text!a} is no address that a guest may have")
        if isinstance(address, ipaddress.IPv4Address):
            own.append(address)
        else:
            own6.append(address)
    return own, own6


def networks(servers: Iterable[str]) -> tuple[list[ipaddress.IPv4Network], list[ipaddress.IPv6Network]]:
    """Addresses and networks by kind, none within another; the loopback ones always are among them."""
    own = [ipaddress.IPv4Network("127.0.0.0/8")]
    own6 = [ipaddress.IPv6Network("::1/128")]
    for text in servers:
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            raise BadInput(f"{text!a} is neither an address nor a network") from error
        if "%" in text:
            raise BadInput(f"{text!a} has a scope")
        if isinstance(network, ipaddress.IPv4Network):
            own.append(network)
        else:
            own6.append(network)
    return list(ipaddress.collapse_addresses(own)), list(ipaddress.collapse_addresses(own6))
