"""What each guest uses: counters of the kernel's and of QEMU's, and what they grew by since the last look."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invirt.base.names import DomainName
from invirt.database.usage import METRICS, REASONS
from invirt.host.network import vif

PROC, NET = Path("/proc"), Path("/sys/class/net")
TICK = 1000 // os.sysconf("SC_CLK_TCK")  # ms
PAGE = os.sysconf("SC_PAGE_SIZE")
MOST = (1 << 31) - 1  # of a sample, as the database keeps it
SCALES = dict.fromkeys(("disk_read", "disk_written", "net_sent", "net_received"), 1024)  # bytes to KiB
LINKS = {
    "net_sent": ("rx_bytes",),
    "net_received": ("tx_bytes",),
    "net_packets": ("rx_packets", "tx_packets"),
}
NOT_DROPS = ("interface", "domain", "passed")


@dataclass
class Counted:
    """Of one guest, since it began: by metric, bytes not yet as KiB, and packets refused by reason."""

    metrics: dict[str, int] = field(default_factory=dict)
    drops: dict[str, int] = field(default_factory=dict)


def of_process(pid: int) -> dict[str, int]:
    """CPU in ms and memory in MiB of a process; none of one that has ended."""
    with suppress(OSError, ValueError, IndexError):
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        pages = int((PROC / str(pid) / "statm").read_text().split()[1])
        return {"cpu": (int(fields[11]) + int(fields[12])) * TICK, "memory": pages * PAGE >> 20}
    return {}


def of_disks(answer: object) -> dict[str, int]:
    """From QEMU's answer to query-blockstats, which is its guest's word: nothing if it is of another form."""
    found = {"disk_read": 0, "disk_written": 0, "disk_operations": 0}
    for disk in answer if isinstance(answer, list) else ():
        stats = disk.get("stats") if isinstance(disk, dict) else None
        if isinstance(stats, dict):
            found["disk_read"] += _number(stats.get("rd_bytes"))
            found["disk_written"] += _number(stats.get("wr_bytes"))
            found["disk_operations"] += _number(stats.get("rd_operations"))
            found["disk_operations"] += _number(stats.get("wr_operations"))
    return found


def _number(value: object) -> int:
    return value if type(value) is int and 0 <= value < 1 << 62 else 0


def of_links() -> dict[DomainName, Counted]:
    """What each guest's links carried, as the guest sees it, and what their rules refused."""
    found: dict[DomainName, Counted] = {}
    links = vif.links()
    refused = {str(row["interface"]): row for row in vif.counters()} if links else {}
    for interface, link in links.items():
        counted = found.setdefault(link.name, Counted())
        for metric, names in LINKS.items():
            carried = sum(_statistic(interface, name) for name in names)
            counted.metrics[metric] = counted.metrics.get(metric, 0) + carried
        for reason, packets in refused.get(interface, {}).items():
            if reason not in NOT_DROPS and int(packets):
                counted.drops[reason] = counted.drops.get(reason, 0) + int(packets)
        counted.metrics["dropped"] = sum(counted.drops.values())
    return found


def _statistic(interface: str, name: str) -> int:
    try:
        return int((NET / interface / "statistics" / name).read_text())
    except (OSError, ValueError):  # it went meanwhile
        return 0


class Meter:
    """What was counted last of each machine, by its number."""

    def __init__(self) -> None:
        self.before: dict[int, Counted] | None = None

    def grown(self, now: Mapping[int, Counted]) -> dict[int, Counted]:
        """What each used since the last look; the first tells nothing, since nobody knows since when that is.

        One that wasn't there before has begun since.  A counter that is less than before began anew: with
        a boot, or with a log that was cut.
        """
        before = self.before
        self.before = {**(before or {}), **now}
        if before is None:
            return {}
        return {number: _grown(before.get(number, Counted()), counted) for number, counted in now.items()}


def _grown(before: Counted, now: Counted) -> Counted:
    used = _differences(before.metrics, now.metrics)
    used["memory"] = now.metrics.get("memory", 0)
    metrics = {metric: min(used.get(metric, 0) // SCALES.get(metric, 1), MOST) for metric in METRICS}
    drops = {reason: more for reason, more in _differences(before.drops, now.drops).items() if more}
    return Counted(metrics, drops)


def _differences(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    grown = {name: value - before.get(name, 0) for name, value in now.items()}
    return {name: more if more >= 0 else now[name] for name, more in grown.items()}


def columns(used: Mapping[int, Counted]) -> dict[str, Sequence[Any]]:
    """What is written of them, as arrays of arrays: see invirt.database.usage."""
    return {
        "machines": list(used),
        "used": [_array(counted.metrics, METRICS) for counted in used.values()],
        "drops": [_array(counted.drops, REASONS) if counted.drops else None for counted in used.values()],
    }


def _array(values: Mapping[str, int], names: Sequence[str]) -> str:
    return "{" + ",".join(str(min(values.get(name, 0), MOST)) for name in names) + "}"
