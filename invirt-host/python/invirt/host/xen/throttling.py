"""What a guest reads and writes, bounded by the group of its unit (cgroup), each way by itself.

A PC's QEMU is there from its start.  The kernel's threads, which do it for a guest's own drivers, are put
there: a disk has a new one whenever the guest connects to it anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess

from invirt.base.errors import BadInput, CommandFailed
from invirt.host.protocols import Limits

GROUPS = Path(r"/sys/fs/cgroup/system.slice/system-invirt\x2ddomain.slice")
THREAD = re.compile(r"([0-9]+)\.[a-z]+-[0-9]+\n")  # DOMAIN.DISK-QUEUE, as Linux calls it
_others: set[str] = set()  # processes that are none


def threads() -> Mapping[int, Sequence[str]]:
    """The process numbers of each domain's, by the domain's number.

    This is asked at each look: what is none of them isn't read again, until some are held anew.
    """
    found: dict[int, list[str]] = {}
    running = {name for name in os.listdir("/proc") if name.isdecimal()}
    _others.intersection_update(running)
    for process in sorted(running - _others):
        with suppress(OSError):  # it went meanwhile
            if its := THREAD.fullmatch(Path("/proc", process, "comm").read_text(errors="replace")):
                found.setdefault(int(its[1]), []).append(process)
            else:
                _others.add(process)
    return found


def throttle(
    run: Callable[..., CompletedProcess[str]], unit: str, number: int, disks: Sequence[str], limits: Limits
) -> None:
    """Hold the domain of that number and unit to so much of what its disks lie on.

    BadInput where that can't be: of a file on another server, or without a unit.
    """
    bounds = {"Bandwidth": (limits.disk or 0) << 20, "IOPS": limits.operations or 0}
    group, bounded = GROUPS / unit, any(bounds.values())
    if not bounded and not _bounds(group):
        return
    words = []
    for what, bound in bounds.items():
        for way in ("Read", "Write"):
            words.append(f"IO{way}{what}Max=")  # what was said before
            words += [f"IO{way}{what}Max={disk} {bound}" for disk in disks if bound]
    run(["systemctl", "set-property", "--runtime", unit, *words])
    if not bounded or not disks:
        return
    if not _bounds(group):
        why = "its disks lie on no block device of this host" if group.exists() else "it does not run"
        raise BadInput(f"{unit} can't bound what the disks may take: {why}")
    _others.clear()  # one that was seen as it began may have had no name yet
    for thread in threads().get(number, ()):
        try:
            (group / "cgroup.procs").write_text(thread)
        except ProcessLookupError:  # it went meanwhile
            continue
        except OSError as error:  # one that begins can't be moved yet; or the domain ends
            raise CommandFailed(f"{unit} can't bound what the disks may take", hint=str(error)) from error


def _bounds(group: Path) -> str:
    try:
        return (group / "io.max").read_text()
    except OSError:  # it isn't there, or not any more
        return ""
