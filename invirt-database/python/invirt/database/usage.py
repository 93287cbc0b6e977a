"""What machines use, as the database keeps it: by the minute, by ten minutes, by the day.

The views usage and usage_drops are for those who read it.  A row of the tables
holds an hour of minutes or of ten minutes, or a day.  `slots` says which of them each sample is,
from 0; `used` has all METRICS of each sample, one sample after the other; `drops` the packets that
were refused in all of that time, for each of REASONS.
"""

from __future__ import annotations

from datetime import timedelta

# Each is what was used in that time, but memory, which is the most that there was: CPU in ms,
# memory in MiB, disk_read and _written, net_sent and _received in KiB, console in bytes.
METRICS = (
    *("cpu", "memory", "disk_read", "disk_written", "disk_operations"),
    *("net_sent", "net_received", "net_packets", "console", "dropped"),
)
REASONS = (
    *("foreign_mac", "foreign_ip", "foreign_ip6", "foreign_arp", "foreign_nd", "router", "foreign_dhcp"),
    *("dhcp_answer", "closed_port", "foreign_icmp", "too_often", "fragment", "hidden", "protocol"),
    "multicast",
)
EVERY = 60.0  # seconds between two samples of a host
KEEP = "SELECT keep_usage()"

DAY = 86400  # seconds
# How long ago, and how many seconds a sample is.
PERIODS = {
    "hour": (timedelta(hours=1), 60),
    "day": (timedelta(days=1), 60),
    "week": (timedelta(days=7), 600),
    "month": (timedelta(days=31), 600),
    "year": (timedelta(days=365), DAY),
}
SUMS = ", ".join(
    f"{'max' if metric == 'memory' else 'sum'}({metric})::bigint AS {metric}" for metric in METRICS
)
# What is not yet summed up to what is asked for is summed up here.
PART = f"""
machine_id = %(machine)s AND (seconds = {DAY}) = (%(step)s = {DAY} AND at < (
    SELECT coalesce(max(at), '-infinity') + interval '1 day' FROM usage
    WHERE machine_id = %(machine)s AND seconds = {DAY}))
"""
SAMPLES = f"""
SELECT date_bin(%(step)s * interval '1 s', at, '2000-01-01Z') AS at, {SUMS} FROM usage
WHERE at > now() - %(period)s::interval AND {PART} GROUP BY 1 ORDER BY 1
"""
# By whole hours, or days.
SINCE = f"""
SELECT date_trunc(CASE WHEN %(step)s = {DAY} THEN 'day' ELSE 'hour' END,
    now() - %(period)s::interval, 'UTC') AS at
"""
DROPS = f"""
SELECT reason, sum(packets)::bigint AS packets FROM usage_drops
WHERE at >= %(since)s AND {PART} GROUP BY reason ORDER BY 2 DESC, 1
"""
WHY = {
    "foreign_mac": "frames from another MAC than its own; is a bridge or VPN inside it?",
    "foreign_ip": "packets from another IPv4 address than its own; is a bridge, container or VPN inside it?",
    "foreign_ip6": "packets from another IPv6 address than its own; are privacy extensions on?",
    "foreign_arp": "ARP that speaks for another address; is one configured that isn't its own?",
    "foreign_nd": "IPv6 neighbour discovery for another address; is one configured that isn't its own?",
    "router": "router advertisements or redirects; does a router run inside it?",
    "foreign_dhcp": "DHCP requests for others; does a DHCP relay run inside it?",
    "dhcp_answer": "answers of a DHCP server; does one run inside it?",
    "closed_port": "connections to hosts or servers of the site, which have no port for it",
    "foreign_icmp": "ICMP errors about packets that it never got",
    "too_often": "more requests a second than are answered (DNS, DHCP, ping, new neighbours); does it scan?",
    "fragment": "fragments of which can't be seen what they are part of",
    "hidden": "VLAN tags, IP options or extension headers, which are not let through",
    "protocol": "neither ARP, IPv4 nor IPv6",
    "multicast": "multicast or broadcast, which nobody would hear",
}
