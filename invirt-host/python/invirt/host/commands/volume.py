"""remctl HOST volume …: the disks of machines, for remote."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from invirt.base import tables, validate
from invirt.base.cli import Argument, Command, Option, Verb, Who
from invirt.base.names import MachineName
from invirt.host import jobs, tokens
from invirt.host.moving import disks
from invirt.host.storage import pools

Pool = str | None  # None: the site's first
LARGEST = 1 << 20  # GiB; what one machine may have is remote's to decide


def create(name: MachineName, disk: str, gib: int, token: int, pool: Pool) -> None:
    """Make a disk."""
    with tokens.claimed(token, name):
        pools.storage(pool).create(name, disk, gib)


def resize(name: MachineName, disk: str, gib: int, token: int, pool: Pool) -> None:
    """Grow a disk."""
    with tokens.claimed(token, name):
        pools.storage(pool).resize(name, disk, gib)


def rename(
    name: MachineName, disk: str, new_name: MachineName, new_disk: str, token: int, pool: Pool
) -> None:
    """Call a disk otherwise."""
    with tokens.claimed(token, name, new_name):
        pools.storage(pool).rename(name, disk, new_name, new_disk)


def remove(name: MachineName, disk: str, operation: int, token: int, pool: Pool) -> None:
    """Put a disk into the trash."""
    with tokens.claimed(token, name):
        disks.forget(name, disk)
        pools.storage(pool).remove(name, disk, operation)


def restore(name: MachineName, disk: str, operation: int, token: int, pool: Pool) -> None:
    """Take a disk back from the trash."""
    with tokens.claimed(token, name):
        pools.storage(pool).restore(name, disk, operation)


def undelete(
    name: MachineName,
    disk: str,
    operation: int,
    new_name: MachineName,
    new_disk: str,
    token: int,
    pool: Pool,
) -> None:
    """Give a disk in the trash to a machine."""
    with tokens.claimed(token, new_name, tokens.item(operation)):
        pools.storage(pool).restore(name, disk, operation, new_name, new_disk)


def give_up(
    name: MachineName,
    disk: str,
    operation: int,
    new_name: MachineName,
    new_disk: str,
    token: int,
    pool: Pool,
) -> None:
    """Put a disk that was given to a machine back into the trash."""
    with tokens.claimed(token, new_name, tokens.item(operation)):
        pools.storage(pool).give_up(name, disk, operation, new_name, new_disk)


def purge(name: MachineName, disk: str, operation: int, token: int, pool: Pool) -> None:
    """End a disk in the trash."""
    with tokens.claimed(token, tokens.item(operation)):
        pools.storage(pool).purge(name, disk, operation)


def receive(name: MachineName, disk: str, gib: int, host: str, token: int, pool: Pool) -> None:
    """Make a disk, which that host may fill."""
    with tokens.claimed(token, name):
        disks.expect(name, disk, gib, host, pool)


def send(name: MachineName, disk: str, host: str, token: int, pool: Pool) -> None:
    """Fill a disk on that host, which expects it, with what this one holds."""
    with tokens.claimed(token, name):
        disks.send(name, disk, pool, host, jobs.reporter(token))


def show_list(pool: Pool) -> list[dict[str, str | int]]:
    """All disks of a pool, and those in the trash."""
    found: list[dict[str, str | int]] = []
    for volume in pools.storage(pool).volumes():
        row: dict[str, str | int] = {"name": volume.name, "disk": volume.disk, "size": volume.size}
        if volume.operation is not None:
            row["trash"] = volume.operation
        found.append(row)
    return found


def gibibytes(text: str) -> int:
    """The size of a disk."""
    return validate.gibibytes(text, 1, LARGEST)


NAME = Argument("name", "the machine", validate.machine_name, "NAME", sample="inode")
DISK = Argument("disk", "hda to hdz", validate.disk_name, "DISK", sample="hda")
GIB = Argument("gib", "its size", gibibytes, "SIZE", unit="GiB", sample="10")
OPERATION = Argument("operation", "by which it came into the trash", validate.token, "OPERATION", sample="12")
NEW_NAME = replace(NAME, name="new_name", help="the machine that has it then", metavar="NEWNAME")
NEW_DISK = replace(DISK, name="new_disk", help="its name then", metavar="NEWDISK")
TOKEN = Argument("token", "higher than all before it", validate.token, "TOKEN", sample="13")
POOL = Option("pool", "where it lies; by default the site's first", validate.machine_name, "POOL")
HOST = Argument("host", "the other host", validate.host_name, "HOST", sample="host2.example.org")
ONE = (NAME, DISK)
NEW = (NEW_NAME, NEW_DISK)


def _verb(name: str, summary: str, run: Any, *arguments: Argument) -> Verb:
    return Verb(name, summary, run, (*arguments, TOKEN, POOL), who=Who.REMOTE, changes=True)


VERBS = (
    _verb("create", "make a disk", create, *ONE, GIB),
    _verb("resize", "grow a disk", resize, *ONE, GIB),
    _verb("rename", "call a disk otherwise", rename, *ONE, *NEW),
    _verb("remove", "put a disk into the trash", remove, *ONE, OPERATION),
    _verb("restore", "take a disk back from the trash", restore, *ONE, OPERATION),
    _verb("undelete", "give a disk in the trash to a machine", undelete, *ONE, OPERATION, *NEW),
    _verb("return", "put a disk that was given to a machine back into the trash", give_up, *ONE, OPERATION,
          *NEW),
    _verb("receive", "make a disk that another host may fill", receive, *ONE, GIB, HOST),
    _verb("send", "fill a disk on a host that expects it with what this one holds", send, *ONE, HOST),
    _verb("purge", "end a disk in the trash, for good", purge, *ONE, OPERATION),
    Verb("list", "all disks of a pool and their sizes in GiB, and those in the trash", show_list, (POOL,),
         who=Who.REMOTE, shown=tables.one_line_json),
)  # fmt: skip
COMMAND = Command(
    name="invirt-host-volume",
    section=8,
    summary="the disks of machines",
    description="Run by remctld for the remote server as `volume`. TOKEN is a new, higher one with each "
    "command; one that is not higher than all seen for NAME is refused. With a new one, all verbs are safe "
    "to repeat.",
    example="remctl host1.example.org volume list",
    verbs=VERBS,
    remctl="volume",
)
