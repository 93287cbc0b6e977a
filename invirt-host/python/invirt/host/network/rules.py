"""What a guest may send: one nftables table for each guest's interface.

The table is in the family netdev, at the interface's very entrance: it sees
each frame before bridges, routing, connection tracking and every rule of
other tables, whatever is loaded when.  It keeps no state that a guest could
fill up: a rate is two numbers, and sets have a size.  Lists say what may pass; what
can't be looked into is dropped, and so is what costs others, beyond a rate.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from string import Template

from invirt.base.errors import BadInput
from invirt.host.network.addresses import link_local, networks, split

# Each reason to drop has a counter of that name; a guest's stray multicast is
# no attack, and all others are logged, too.
REASONS = {
    "foreign_mac": "a source MAC that isn't the guest's",
    "foreign_ip": "an IPv4 source that isn't the guest's",
    "foreign_ip6": "an IPv6 source that isn't the guest's",
    "foreign_arp": "ARP that speaks for another, or of an odd form",
    "foreign_nd": "neighbour discovery that speaks for another, or of an odd form",
    "router": "router advertisements and redirects, which only routers send",
    "foreign_dhcp": "a DHCP request in another's name, or as a relay",
    "dhcp_answer": "what only DHCP and DHCPv6 servers send",
    "closed_port": "a port of a host or server that is not for guests",
    "foreign_icmp": "an ICMP error about a packet that was never sent to the guest",
    "too_often": "requests beyond what a guest may have answered in a second",
    "fragment": "a fragment that hides what it is part of",
    "hidden": "VLAN tags, IP options, IPv6 extension headers, headers that are cut",
    "protocol": "neither ARP, IPv4 nor IPv6",
    "multicast": "multicast and broadcast, which nobody but the host would hear",
}

# What hosts and servers have work with, in packets a second, and so many at once.
RATES = {
    "dhcp": (2, 20),
    "neighbours": (50, 300),
    "dns": (200, 1000),
    "icmp": (50, 100),
    "answers": (5000, 5000),
    "strangers": (20, 200),
    "expired": (50, 100),
}

RULES = Template("""\
table netdev invirt_$interface { $flags }
flush table netdev invirt_$interface
table netdev invirt_$interface {
    $flags
$counters
    chain guest {
        type filter hook ingress device "$interface" priority -500; policy drop;
        ether saddr != $mac counter name foreign_mac goto refuse
        ether type { 8021q, 8021ad } counter name hidden goto refuse
        ether type arp goto arp_of_guest
        ether type ip goto ip_of_guest
        ether type ip6 goto ip6_of_guest
        # The host hears its own broadcasts, such as DHCP answers, here, without an Ethernet header.
        meta protocol { ip, ip6 } drop
        counter name protocol goto refuse
    }
    chain refuse {
        limit rate 6/minute burst 5 packets log prefix "invirt $name $interface refused: "
        drop
    }

    # Whom it spoke to on the host's own networks.
    set known { type ipv4_addr; flags dynamic,timeout; timeout 1m; size 4096; }
    set known6 { type ipv6_addr; flags dynamic,timeout; timeout 1m; size 4096; }
    # For another one the host has to ask there, with room for so many questions.
    chain stranger {
        limit rate over $strangers packets counter name too_often goto refuse
        add @known { ip daddr }
    }
    chain stranger6 {
        limit rate over $strangers packets counter name too_often goto refuse
        add @known6 { ip6 daddr }
    }

    # Within their rates; each guest has rates of its own.
$rates
    # Ethernet and IPv4 addresses of the usual length: others would shift what is compared.
    # 0.0.0.0 asks whether an address is free (RFC 5227).
    chain arp_of_guest {
        arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp operation { request, reply } \\
            arp saddr ether $mac arp saddr ip { 0.0.0.0, $ip } goto few_neighbours
        counter name foreign_arp goto refuse
    }

    # 0x1fff: a fragment's offset; 0x3fff: that, or that more fragments follow.
    chain ip_of_guest {
        ip hdrlength != 5 counter name hidden goto refuse
        udp sport 68 udp dport 67 goto dhcp_of_guest
        ip saddr 0.0.0.0 counter name foreign_ip goto refuse
        ip saddr != { $ip } counter name foreign_ip goto refuse
        udp sport 67 counter name dhcp_answer goto refuse
        udp dport 68 counter name dhcp_answer goto refuse
        icmp type { redirect, router-advertisement } counter name router goto refuse
        icmp type { destination-unreachable, source-quench, time-exceeded, parameter-problem } \\
            jump error_of_guest
        ip daddr { 224.0.0.0/4, 255.255.255.255 } counter name multicast drop
        fib daddr type { local, broadcast, multicast, anycast } goto to_server
        ip daddr { $servers } goto to_server
        ip daddr { $near } ip daddr != @known jump stranger
        # The host has to say that it got no further: traceroute.
        ip ttl < 2 goto few_expired
        # Its first fragment is looked into, and without that one nobody puts it together.
        ip frag-off & 0x1fff != 0 counter name passed accept
        ip protocol udp goto udp_of_guest
        counter name passed accept
    }

    # It had the packet that the error is about: that one's destination is its own.
    # @th,64,4: the version in the packet's header; @th,192,32: its destination.
    # Of a fragment so short that they can't be read nothing is known.
    chain error_of_guest {
        @th,64,4 4 @th,192,32 { $numbers } return
        counter name foreign_icmp goto refuse
    }
    # @th,256,128: the same in IPv6.
    chain error6_of_guest {
        @th,64,4 6 @th,256,128 { $targets } return
        counter name foreign_icmp goto refuse
    }

    # A request goes to this host's relay, as if from nobody to all: so a renewal has its answer
    # even if the address it comes from is another's by now.  @th,64,24: a request, of Ethernet,
    # with 6 bytes of address; @th,256,32: which no relay has sent; @th,288,48: for the guest.
    chain dhcp_of_guest {
        ip frag-off & 0x3fff != 0 counter name fragment goto refuse
        @th,64,24 0x010106 @th,256,32 0 @th,288,48 $mac_number \\
            ip saddr set 0.0.0.0 ip daddr set 255.255.255.255 goto few_dhcp
        counter name foreign_dhcp goto refuse
    }

    # Link-local addresses but the guest's own are the host's, on this link.
    chain ip6_of_guest {
        ip6 saddr :: ip6 nexthdr icmpv6 goto nd_from_nobody
        ip6 daddr ff00::/8 ip6 nexthdr hopopt counter name multicast drop
        ip6 saddr != { $ip6 } counter name foreign_ip6 goto refuse
        ip6 daddr ff00::/8 ip6 nexthdr udp udp sport 546 udp dport 547 goto few_dhcp
        udp sport 547 counter name dhcp_answer goto refuse
        udp dport 546 counter name dhcp_answer goto refuse
        ip6 nexthdr icmpv6 icmpv6 type 133-137 goto nd_of_guest
        ip6 daddr ff00::/8 counter name multicast drop
        ip6 daddr { fe80::/10, $servers6 } goto to_server
        fib daddr type { local, multicast, anycast } goto to_server
        ip6 daddr { $near6 } ip6 daddr != @known6 jump stranger6
        ip6 hoplimit < 2 goto few_expired
        ip6 nexthdr ipv6-frag goto fragment6_of_guest
        ip6 nexthdr udp goto udp_of_guest
        ip6 nexthdr icmpv6 goto icmp6_of_guest
        ip6 nexthdr { tcp, sctp, dccp, esp, gre } counter name passed accept
        counter name hidden goto refuse
    }
    # No further header between the fragment's and the ports.
    chain fragment6_of_guest {
        frag nexthdr != { udp, icmpv6, tcp, sctp, dccp, esp, gre } counter name hidden goto refuse
        frag frag-off != 0 counter name passed accept
        frag nexthdr udp goto udp_of_guest
        frag nexthdr icmpv6 goto icmp6_of_guest
        counter name passed accept
    }

    # From :: a guest asks whether its own address is free, or for routers.
    # What is compared is @th,64,128: the target; @th,192,16: kind and length of
    # the one option that may follow: a MAC (@th,208,48), or a nonce (RFC 7527).
    chain nd_from_nobody {
        ip6 hoplimit 255 ip6 length { 24, 32 } icmpv6 type nd-neighbor-solicit icmpv6 code 0 \\
            @th,64,128 { $targets } goto nonce_or_nothing
        ip6 hoplimit 255 ip6 length 8 icmpv6 type nd-router-solicit goto few_neighbours
        counter name foreign_nd goto refuse
    }
    chain nonce_or_nothing {
        ip6 length 24 goto few_neighbours
        @th,192,16 0x0e01 goto few_neighbours
        counter name foreign_nd goto refuse
    }
    chain nd_of_guest {
        icmpv6 type { nd-router-advert, nd-redirect } counter name router goto refuse
        ip6 hoplimit != 255 counter name foreign_nd goto refuse
        icmpv6 code != 0 counter name foreign_nd goto refuse
        icmpv6 type nd-router-solicit ip6 length 8 goto few_neighbours
        icmpv6 type nd-router-solicit ip6 length 16 @th,64,16 0x0101 @th,80,48 $mac_number \\
            goto few_neighbours
        icmpv6 type nd-neighbor-solicit ip6 length 24 goto few_neighbours
        icmpv6 type nd-neighbor-solicit ip6 length 32 @th,192,16 0x0101 @th,208,48 $mac_number \\
            goto few_neighbours
        icmpv6 type nd-neighbor-advert @th,64,128 { $targets } ip6 length 24 goto few_neighbours
        icmpv6 type nd-neighbor-advert @th,64,128 { $targets } ip6 length 32 \\
            @th,192,16 0x0201 @th,208,48 $mac_number goto few_neighbours
        counter name foreign_nd goto refuse
    }
    chain icmp6_of_guest {
        icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } \\
            jump error6_of_guest
        icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, \\
            echo-request, echo-reply } counter name passed accept
        icmpv6 type { nd-router-advert, nd-redirect } counter name router goto refuse
        counter name foreign_nd goto refuse
    }

    # Its ports were looked at: they can be read.
    chain udp_of_guest {
        udp length >= 8 counter name passed accept
        counter name hidden goto refuse
    }

    # To hosts and servers: DHCPv6, DNS, ping, and answers to what they began; a segment that the
    # guest's kernel leaves to others to cut counts once.
    chain to_server {
        ether type ip ip frag-off & 0x3fff != 0 counter name fragment goto refuse
        ip protocol icmp icmp type { echo-request, echo-reply, destination-unreachable, time-exceeded, \\
            parameter-problem } goto few_icmp
        ip6 nexthdr icmpv6 icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, \\
            parameter-problem } jump error6_of_guest
        ip6 nexthdr icmpv6 icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, \\
            parameter-problem, echo-request, echo-reply } goto few_icmp
        ip6 nexthdr icmpv6 goto icmp6_of_guest
        ip6 nexthdr udp udp sport 546 udp dport 547 goto few_dhcp
        ip protocol tcp tcp flags & (syn | ack) != syn goto few_answers
        ip6 nexthdr tcp tcp flags & (syn | ack) != syn goto few_answers
        ip protocol { tcp, udp } th dport 53 goto few_dns
        ip6 nexthdr { tcp, udp } th dport 53 goto few_dns
        ip6 nexthdr ipv6-frag counter name fragment goto refuse
        ip protocol { tcp, udp } counter name closed_port goto refuse
        ip6 nexthdr { tcp, udp } counter name closed_port goto refuse
        ip6 nexthdr { hopopt, ipv6-route, ipv6-opts } counter name hidden goto refuse
        counter name closed_port goto refuse
    }
}
""")


def rules(
    interface: str,
    mac: str,
    addresses: Sequence[str],
    *,
    name: str = "",
    servers: Iterable[str] = (),
    near: Iterable[str] = (),
    owned: bool = False,
) -> str:
    """The table of one guest's interface; BadInput for what isn't one, a MAC or an address.

    addresses: the guest's, of both kinds.  name: its domain, for the log.
    servers: addresses and networks of hosts and servers beside this host.
    near: networks in which the host must ask for each address.
    owned: the table lives and dies with the netlink socket that loads it.
    Loaded once more, all rules are replaced at once, and the counters stay.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]{0,14}(-emu)?", interface):
        raise BadInput(f"{interface!a} is no name of an interface")
    if not re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", mac):
        raise BadInput(f"{mac!a} is no MAC address")
    if not re.fullmatch(r"[a-zA-Z0-9_.-]{0,70}", name):
        raise BadInput(f"{name!a} is no name of a domain")
    own, own6 = split(addresses)
    closed, closed6 = networks(servers)
    asked, asked6 = networks(near)
    all6 = [link_local(mac), *own6]
    text = RULES.substitute(
        interface=interface,
        name=name,
        mac=mac,
        mac_number="0x" + mac.replace(":", ""),
        ip=", ".join(map(str, own)) or "0.0.0.0",  # which is dropped before
        ip6=", ".join(map(str, all6)),
        numbers=", ".join(f"0x{int(address):08x}" for address in own) or "0x0",
        targets=", ".join(f"0x{int(address):032x}" for address in all6),
        servers=", ".join(map(str, closed)),
        servers6=", ".join(map(str, closed6)),
        near=", ".join(map(str, asked)),
        near6=", ".join(map(str, asked6)),
        strangers="{}/second burst {}".format(*RATES["strangers"]),
        flags="flags owner;" if owned else "",
        rates="".join(_few(kind, *rate) for kind, rate in RATES.items() if kind != "strangers"),
        counters="\n".join(f"    counter {reason} {{ }}" for reason in ("passed", *REASONS)),
    )
    return text.replace("\n    \n", "\n").replace("{  }", "{ }")


def _few(kind: str, rate: int, burst: int) -> str:
    """The chain that accepts no more than a rate."""
    limit = f"limit rate over {rate}/second burst {burst} packets counter name too_often goto refuse"
    return f"    chain few_{kind} {{\n        {limit}\n        counter name passed accept\n    }}\n"
