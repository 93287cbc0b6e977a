"""What domains leave on a host goes with their machine: its name may be another owner's by tomorrow."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping

from invirt.base.names import DomainName, MachineName, machine_of
from invirt.database import connection
from invirt.host import paths, tokens
from invirt.host.records import Record

MACHINES = "SELECT name, machine_id FROM machines"


def machines() -> dict[MachineName, int]:
    """The numbers of all machines, by name.  Raises Unreachable when the database doesn't answer."""
    with connection.transaction() as cursor:
        cursor.execute(MACHINES)
        return {row.name: row.machine_id for row in cursor.fetchall()}


def clear(record: Record, number: int | None) -> None:
    """Remove what an earlier machine of the domain's name left; number: the one that is to boot, None: none.

    The caller holds the name's lock, and the domain doesn't run.
    """
    if record.folder.is_dir() and (number is None or record.machine() != number):
        shutil.rmtree(record.folder)


def sweep(numbers: Mapping[MachineName, int], running: Callable[[DomainName], bool]) -> None:
    """Remove what is left of domains that run no more and whose machines are gone, or have another name.

    numbers: all machines', by name.
    """
    for name in _names():
        machine = machine_of(name)
        if machine is None:
            continue  # an administrator's own
        with tokens.locked(machine):
            if running(name):
                continue
            clear(Record(name), numbers.get(machine))
            if machine not in numbers:
                (paths.state() / "domains" / name).unlink(missing_ok=True)
                shutil.rmtree(paths.run() / "guests" / name, ignore_errors=True)


def _names() -> list[DomainName]:
    """The domains that something is left of."""
    folders = (paths.state() / "guests", paths.state() / "domains", paths.run() / "guests")
    return sorted({DomainName(path.name) for folder in folders for path in folder.glob("[!.]*")})
