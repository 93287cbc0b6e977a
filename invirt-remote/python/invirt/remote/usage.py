"""What a machine uses, as its host counts it, and why its packets were dropped: for its owner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from invirt.base import tables
from invirt.base.cli import Option, Verb, Who
from invirt.base.names import MachineName
from invirt.database.usage import METRICS
from invirt.remote import access
from invirt.remote.actor import Actor
from invirt.remote.session import transaction
from invirt.remote.verbs import NAME

Record = dict[str, Any]

DAY = 86400  # seconds
# How long ago, and how many seconds a sample is.
PERIODS = {
    "hour": (timedelta(hours=1), 60),
    "day": (timedelta(days=1), 60),
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
WHERE at > now() - %(period)s AND {PART} GROUP BY 1 ORDER BY 1
"""
# By whole hours, or days.
SINCE = (
    f"SELECT date_trunc(CASE %(step)s WHEN {DAY} THEN 'day' ELSE 'hour' END, now() - %(period)s, 'UTC') AS at"
)
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
WIDTH, BARS = 48, "▁▂▃▄▅▆▇█"
# What is shown of each metric: its heading, and what one of its unit a second is worth there.
LINES = {
    "cpu": ("CPU, % of one", 0.1),
    "memory": ("memory, MiB", 0.0),
    "disk_read": ("disk read, KiB/s", 1.0),
    "disk_written": ("disk written, KiB/s", 1.0),
    "disk_operations": ("disk operations/s", 1.0),
    "net_sent": ("network sent, KiB/s", 1.0),
    "net_received": ("network received, KiB/s", 1.0),
    "net_packets": ("network packets/s", 1.0),
    "console": ("console, B/s", 1.0),
    "dropped": ("packets dropped/s", 1.0),
}


def usage(actor: Actor, name: MachineName, of: str) -> Record:
    """The samples of a period, the oldest first, and packets dropped by reason; raises NotFound."""
    period, step = PERIODS[of]
    with transaction() as cursor:
        machine = access.require(cursor, actor.principal, name).machine_id
        values = {"machine": machine, "period": period, "step": step}
        cursor.execute(SAMPLES, values)
        samples = [_sample(row) for row in cursor.fetchall()]
        cursor.execute(SINCE, values)
        since = cursor.fetchone().at
        cursor.execute(DROPS, {**values, "since": since})
        dropped = [{"reason": row.reason, "packets": row.packets} for row in cursor.fetchall()]
    since = since.isoformat(timespec="minutes")
    return {"name": name, "of": of, "seconds": step, "samples": samples, "since": since, "dropped": dropped}


def _sample(row: Any) -> Record:
    return {"at": row.at.isoformat(timespec="seconds")} | {m: getattr(row, m) or 0 for m in METRICS}


def shown(found: Record) -> str:
    """A line a metric: how it went, the last, the mean and the most; then why packets were dropped."""
    if not found["samples"]:
        return f"Nothing is known of what {found['name']} used in the last {found['of']}.\n"
    rows = []
    for metric, (heading, worth) in LINES.items():
        scale = worth / found["seconds"] if worth else 1.0
        values = [sample[metric] * scale for sample in found["samples"]]
        now, mean, most = values[-1], sum(values) / len(values), max(values)
        rows.append([heading, sparkline(values), *map(_short, (now, mean, most))])
    headings = (f"THE LAST {found['of'].upper()}", "", "LAST", "MEAN", "MOST")
    return tables.table(headings, rows) + "".join(_reasons(found))


def _reasons(found: Record) -> Iterable[str]:
    if found["dropped"]:
        yield f"\nPackets of {found['name']} that were dropped since {found['since']}:\n"
    for drop in found["dropped"]:
        yield f"{drop['packets']:>10}  {WHY.get(drop['reason'], drop['reason'])}\n"


def sparkline(values: Sequence[float]) -> str:
    """The values as bars, no wider than WIDTH, the highest of each column; the lowest bar is nothing."""
    size = -(-len(values) // WIDTH)
    columns = [max(values[at : at + size]) for at in range(0, len(values), size)]
    top = max(columns) or 1
    return "".join(BARS[min(int(value / top * len(BARS)), len(BARS) - 1)] for value in columns)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


OF = Option("of", "the last hour, day, month or year", choices=tuple(PERIODS), default="day")
USAGE = Verb(
    "usage",
    "what a machine uses: CPU, memory, disk, network; and why packets of it were dropped",
    usage,
    (NAME, OF),
    who=Who.USER,
    shown=shown,
)
