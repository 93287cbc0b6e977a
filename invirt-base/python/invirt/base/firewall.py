"""Rules for the doors of a role: who reaches its ports, how often, and how many at once.

Each role brings /etc/invirt/nftables/ROLE.nft.mako, which says who its callers are
and prints table().  invirt-firewall.service loads what those compile to: one
nftables table a role, which only ever refuses more than other tables do, and
nothing at ports that are not named in it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from invirt import config
from invirt.base.errors import CommandFailed
from invirt.base.process import run

RESOLVE_TIMEOUT = 5  # seconds, for all names of a door: a server boots without its resolver, too
NEIGHBOURS = "ffff:ffff:ffff:ffff::"  # a stranger of IPv6 is a /64: who has one address of it has all

# What only passes through, such as guests' traffic, is neither tracked, so that nobody fills the
# kernel's table of connections, nor put together from its fragments, which is done at -400.
PASSING = ("type filter hook prerouting priority -450; policy accept;", "fib daddr type != local notrack")

Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]
EVERYONE: Networks = (ipaddress.IPv4Network("0.0.0.0/0"), ipaddress.IPv6Network("::/0"))


@dataclass(frozen=True)
class Callers:
    """Some sources of a door, and how much they get; 0 is no bound.

    each: connections at once of one source.  all: of all these sources together.
    rate: what one source may begin in a second, ten seconds' worth of it at once;
    over UDP each packet counts.
    """

    name: str
    networks: Networks
    each: int = 0
    all: int = 0
    rate: int = 0


@dataclass(frozen=True)
class Door:
    """A port: the first callers that a source is among count; who is among none is refused.

    free: interfaces, as nftables names them, that the rules don't look at.
    longest: bytes that a connection may bring in all; 0 is no bound.
    """

    name: str
    port: int
    callers: tuple[Callers, ...]
    protocol: str = "tcp"
    free: tuple[str, ...] = ("lo",)
    longest: int = 0


def known() -> Networks:
    """The site's servers: network.servers, or none where that is not said."""
    return [ipaddress.ip_network(server) for server in config.network.servers]


def named(*hostnames: str) -> Networks:
    """The addresses of servers; none where one of the names doesn't resolve, so that it isn't locked out."""
    wanted = [name for name in hostnames if name]
    if not wanted:
        return []
    try:
        found = run(["getent", "ahosts", *wanted], timeout=RESOLVE_TIMEOUT).stdout
    except CommandFailed:
        return []
    addresses = {line.split()[0] for line in found.splitlines()}
    return [ipaddress.ip_network(address) for address in sorted(addresses)]


def table(role: str, *doors: Door) -> str:
    """The role's table, in place of the one that is loaded."""
    name = f"inet invirt_{role}"
    entries = [
        f"{door.protocol} dport {door.port} iifname != {{ {_listed(door.free)} }} jump {door.name}"
        for door in doors
    ]
    chain = ["type filter hook input priority filter - 5; policy accept;", *entries]
    parts = [_chain("passing", PASSING), _chain("input", chain)]
    for door in doors:
        parts += _door(role, door)
    return f"table {name}\ndelete table {name}\ntable {name} {{\n" + "\n".join(parts) + "}\n"


def _door(role: str, door: Door) -> list[str]:
    callers = [one for one in door.callers if one.networks]
    refuse = f"{door.name}_refused"
    new = "ct state new " if door.protocol == "tcp" else ""
    chain = [f"ct original bytes > {door.longest} goto {refuse}"] if door.longest else []
    for one in callers:
        for match in _matches(one.networks):
            chain.append(f"{new}{match}goto {door.name}_{one.name}")
    last = f"{new}goto {refuse}"
    end = "reject with tcp reset" if door.protocol == "tcp" else "drop"
    log = f'limit rate 6/minute burst 5 packets log prefix "invirt {role} {door.name} refused: "'
    return [
        f"    counter {refuse} {{ }}",
        _chain(refuse, [f"counter name {refuse}", log, end]),
        *(part for one in callers for part in _callers(f"{door.name}_{one.name}", one, refuse)),
        _chain(door.name, chain if any(one.networks is EVERYONE for one in callers) else [*chain, last]),
    ]


def _callers(name: str, callers: Callers, refuse: str) -> list[str]:
    """The sets that count sources, and the chain that asks them; what passes goes on to other tables."""
    sets, chain = [], []
    mask = f" & {NEIGHBOURS}" if callers.networks is EVERYONE else ""
    for kind, source in (("4", "ip saddr"), ("6", f"ip6 saddr{mask}")):
        keys = f"type ipv{kind}_addr; size 65535;"
        if callers.rate:
            sets.append(f"    set {name}_rate{kind} {{ {keys} flags dynamic, timeout; timeout 1m; }}")
            burst = f"limit rate over {callers.rate}/second burst {10 * callers.rate} packets"
            chain.append(f"update @{name}_rate{kind} {{ {source} {burst} }} goto {refuse}")
        if callers.each:
            sets.append(f"    set {name}_each{kind} {{ {keys} flags dynamic; }}")
            chain.append(f"add @{name}_each{kind} {{ {source} ct count over {callers.each} }} goto {refuse}")
    if callers.all:
        chain.append(f"ct count over {callers.all} goto {refuse}")
    return [*sets, _chain(name, [*chain, "accept"])]


def _matches(networks: Networks) -> list[str]:
    """What a source is compared with, for each kind of address; everyone is compared with nothing."""
    if networks is EVERYONE:
        return [""]
    own = list(ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv4Network)))
    own6 = list(ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv6Network)))
    kinds: list[tuple[str, Iterable[object]]] = [("ip", own), ("ip6", own6)]
    return [f"{kind} saddr {{ {', '.join(map(str, found))} }} " for kind, found in kinds if found]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _chain(name: str, lines: Iterable[str]) -> str:
    return f"    chain {name} {{\n" + "".join(f"        {line}\n" for line in lines) + "    }\n"
