"""QEMU's own throttling of a guest's disks, all of them together, while it runs.

A QEMU that its guest has taken over can take it off; the limits of its CPUs and links are the kernel's.
"""

from __future__ import annotations

from invirt.host.protocols import Limits
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.qmp import Qmp

PATIENCE = 2.0  # seconds for a QEMU's answer: meanwhile all guests wait for theirs
OTHERS = ("bps_rd", "bps_wr", "iops_rd", "iops_wr")


def throttle(guest: Guest, limits: Limits) -> None:
    """Hold its disks to so much; raises what Qmp does."""
    bounds = {"bps": (limits.disk or 0) << 20, "iops": limits.operations or 0}
    with Qmp(guest.qmp, PATIENCE) as qmp:
        for block in _blocks(qmp("query-block")):
            qmp("block_set_io_throttle", id=block, **bounds, **dict.fromkeys(OTHERS, 0), group=guest.name)


def _blocks(told: object) -> list[str]:
    """The devices of disks that are there; a CD isn't limited."""
    rows = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    return [
        str(row["qdev"])
        for row in rows
        if row.get("qdev") and row.get("inserted") and not row.get("removable")
    ]
