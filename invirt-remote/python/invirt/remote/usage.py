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

MINUTE = timedelta(minutes=1)
# How long ago, from which table, and how much time a sample of it is.
PERIODS = {
    "hour": (timedelta(hours=1), "usage_minutes", MINUTE),
    "day": (timedelta(days=1), "usage_minutes", MINUTE),
    "month": (timedelta(days=30), "usage_tens", 10 * MINUTE),
    "year": (timedelta(days=365), "usage_days", 1440 * MINUTE),
}
ROWS = {
    "usage_minutes": timedelta(hours=1),
    "usage_tens": timedelta(days=1),
    "usage_days": timedelta(days=366),
}
SAMPLES = """
SELECT begins + s.slot * %(step)s AS at, {sums} FROM {table} u
CROSS JOIN LATERAL unnest(u.slots, {arrays}) AS s (slot, {columns})
WHERE machine_id = %(machine)s AND begins > now() - %(period)s - %(row)s
    AND begins + s.slot * %(step)s > now() - %(period)s
GROUP BY 1 ORDER BY 1
"""
DROPS = """
SELECT reason, sum(packets)::bigint AS packets FROM usage_drops
WHERE machine_id = %s AND begins > now() - %s GROUP BY reason ORDER BY 2 DESC, 1
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
    period, table, step = PERIODS[of]
    query = SAMPLES.format(
        table=table,
        columns=", ".join(METRICS),
        arrays=", ".join(f"u.{metric}" for metric in METRICS),
        sums=", ".join(f"{'max' if m == 'memory' else 'sum'}(s.{m})::bigint AS {m}" for m in METRICS),
    )
    with transaction() as cursor:
        machine = access.require(cursor, actor.principal, name).machine_id
        values = {"machine": machine, "period": period, "step": step, "row": ROWS[table]}
        cursor.execute(query, values)
        samples = [_sample(row) for row in cursor.fetchall()]
        cursor.execute(DROPS, (machine, period))
        dropped = [{"reason": row.reason, "packets": row.packets} for row in cursor.fetchall()]
    return {
        "name": name,
        "of": of,
        "seconds": int(step.total_seconds()),
        "samples": samples,
        "dropped": dropped,
    }


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
        yield f"\nPackets of {found['name']} that were dropped in the last {found['of']}:\n"
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
