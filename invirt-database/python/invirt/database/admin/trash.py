"""What lies in the trash: whose it is, what space it takes, and until when."""

from __future__ import annotations

from invirt.base.cli import Group
from invirt.database.admin.verbs import Row, listing
from invirt.database.models import Trash


def _list() -> list[Row]:
    """The last row is the sum of all."""
    found: list[Row] = [
        {
            "number": one.trash_id,
            "owner": one.owner.name if one.owner else None,
            "name": one.name,
            "disks": " ".join(disk.name for disk in one.disks),
            "gib": sum(disk.size for disk in one.disks),
            "deleted": f"{one.deleted_at:%Y-%m-%d %H:%M}",
            "ends": f"{one.ends_at:%Y-%m-%d %H:%M}",
        }
        for one in Trash.find()
    ]
    total = sum(int(str(row["gib"])) for row in found)
    empty: Row = dict.fromkeys(("number", "owner", "name", "disks", "gib", "deleted", "ends"))
    return [*found, empty | {"name": "total", "gib": total}] if found else []


GROUP = Group(
    "trash",
    "deleted machines and disks, until they end",
    (listing("show all: owner, GiB and end of each; no owner: yours to look after", _list),),
)
