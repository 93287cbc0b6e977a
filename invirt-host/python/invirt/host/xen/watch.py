"""Xen's guests, looked at every EVERY seconds: xl tells nothing by itself."""

from __future__ import annotations

import time
from pathlib import Path

from invirt.base.names import DomainName
from invirt.host import usage
from invirt.host.records import Record
from invirt.host.usage import Counted
from invirt.host.watching import Seen
from invirt.host.xen.driver import off_here, why
from invirt.host.xen.xl import INCOMING, Row, Xl

EVERY = 2.0  # seconds
BACKENDS = Path("/sys/bus/xen-backend/devices")
SECTOR = 512  # bytes


class XenWatch:
    """What was so at the last look is so since then; a domain that reboots has another number."""

    def __init__(self, xl: Xl | None = None) -> None:
        self.xl = xl or Xl()
        self.last: dict[tuple[DomainName, int, str, str], float] = {}
        self.rows: list[Row] = []

    def wait(self, seconds: float) -> None:
        """Nothing is told."""
        time.sleep(max(seconds, EVERY))

    def look(self) -> list[Seen]:
        """Those that run, and of those that are off what is written down."""
        self.rows = [row for row in self.xl.rows() if not row.over and not row.name.endswith(INCOMING)]
        states = {row.name: (row.number, "paused" if row.paused else "running", "") for row in self.rows}
        for record in off_here():
            if record.name not in states:
                states[record.name] = (0, "off", why(record))
        found = [(name, *state) for name, state in states.items()]
        self.last = {key: self.last.get(key, time.time()) for key in found}
        return [
            Seen(name, state, since, how, Record(name).machine())
            for (name, _, state, how), since in self.last.items()
        ]

    def counted(self) -> dict[int, Counted]:
        """Of those that ran at the last look."""
        found, links = {}, usage.of_links()
        for row in self.rows:
            machine = Record(row.name).machine()
            if machine is not None:
                link = links.get(row.name, Counted())
                own = {"cpu": round(row.seconds * 1000), "memory": row.memory, **of_disks(row.number)}
                found[machine] = Counted(own | link.metrics, link.drops)
        return found


def of_disks(number: int) -> dict[str, int]:
    """What a domain has read and written, as its backends in the kernel count it."""
    found = {"disk_read": 0, "disk_written": 0, "disk_operations": 0}
    for folder in BACKENDS.glob(f"vbd-{number}-*/statistics"):
        found["disk_read"] += _counter(folder / "rd_sect") * SECTOR
        found["disk_written"] += _counter(folder / "wr_sect") * SECTOR
        found["disk_operations"] += _counter(folder / "rd_req") + _counter(folder / "wr_req")
    return found


def _counter(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # it went meanwhile
        return 0
