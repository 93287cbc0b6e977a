"""What a machine uses, as its host counts it, and why its packets were dropped: for its owner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from invirt.base import tables
from invirt.base.cli import Option, Verb, Who
from invirt.base.names import MachineName
from invirt.database.usage import DROPS, METRICS, PERIODS, SAMPLES, SINCE, WHY
from invirt.remote import access
from invirt.remote.actor import Actor
from invirt.remote.session import transaction
from invirt.remote.verbs import NAME

Record = dict[str, Any]

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


OF = Option("of", "the last hour, day, week, month or year", choices=tuple(PERIODS), default="day")
USAGE = Verb(
    "usage",
    "what a machine uses: CPU, memory, disk, network; and why packets of it were dropped",
    usage,
    (NAME, OF),
    who=Who.USER,
    shown=shown,
)
