"""What hosts say, read with suspicion: a host may be broken, or be another's by now.

An answer that is not of the promised form in every part that is used is
Nonsense as a whole.  Nothing that a host says is believed of other hosts, and
no name or number leaves this module that a machine could not have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from invirt.base import validate
from invirt.base.abilities import HYPERVISORS, STORAGES, Can, named
from invirt.base.errors import InvirtError
from invirt.base.names import MachineName
from invirt.remote.hosts import GaveUp, NoAnswer, failure
from invirt.remote.lines import Answer

LINE = re.compile(r"[ -~]{0,200}")  # that a guest has said
KIND, FINGERPRINT = re.compile(r"[A-Z0-9]{2,10}"), re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
VERSION = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})", re.ASCII)
LARGEST = 1 << 20  # GiB that a volume may have, as hosts themselves have it


class Nonsense(NoAnswer):
    """The host answered, but not with what it was asked."""


def guest_state(hostname: str, name: MachineName, answer: Answer) -> str:
    """Whether guest `name` is "running" or "off", from the answer to `domain status`; raises why not."""
    found = _json(hostname, answer)
    if isinstance(found, dict) and found.get("name") == name and found.get("state") in ("running", "off"):
        return str(found["state"])
    raise _nonsense(hostname, "the state of a guest")


def has_moved(hostname: str, name: MachineName, target: str, answer: Answer) -> bool:
    """Whether the host has handed guest `name` over to target, from the answer to `domain moved`."""
    return _move(hostname, name, answer) == ("handed", target)


def has_arrived(hostname: str, name: MachineName, source: str, answer: Answer) -> bool:
    """Whether the host has had guest `name` handed over by source, from the answer to `domain moved`."""
    return _move(hostname, name, answer) == ("arrived", source)


def _move(hostname: str, name: MachineName, answer: Answer) -> tuple[object, object]:
    """How far it is, and the other host."""
    found = _json(hostname, answer)
    if not isinstance(found, dict) or found.get("name") != name:
        raise _nonsense(hostname, "what became of a guest's move")
    return found.get("move"), found.get("peer")


def about_host(hostname: str, answer: Answer) -> dict[str, Any]:
    """What a host says of itself, in the answer to `host status`."""
    found = _json(hostname, answer)
    if not isinstance(found, dict):
        raise _nonsense(hostname, "what it is")
    return found


@dataclass(frozen=True)
class Told:
    """What a host says of itself: what its hypervisor can, and each of its storages.

    hypervisor, storage: None from one of the version before, which doesn't say.
    version: of its QEMU, or Xen.  made_by, cd: of the guest, where it runs there: the QEMU whose model it
    has, or the Xen, and whether there is a CD in its drive.  still: it would stand still while it is sent.
    """

    hypervisor: str | None = None
    can: frozenset[Can] = frozenset()
    storage: dict[str, frozenset[Can]] | None = None
    version: tuple[int, ...] | None = None
    made_by: tuple[int, ...] | None = None
    cd: bool = False
    still: bool = False


def told(hostname: str, answer: Answer) -> Told:
    """What the host says of itself in its answer to `domain status`; raises why it says nothing."""
    found = _json(hostname, answer)
    storage = found.get("storage") if isinstance(found, dict) else None
    if not isinstance(storage, dict) or found.get("hypervisor") not in HYPERVISORS:
        return Told()
    kinds = {kind: named(can) for kind, can in storage.items() if kind in STORAGES}
    versions = _version(found.get("version")), _version(found.get("made_by"))
    of_guest = (found.get("cd") is True, found.get("still") is True)
    return Told(found["hypervisor"], named(found.get("can")), kinds, *versions, *of_guest)


def _version(said: object) -> tuple[int, ...] | None:
    """MAJOR.MINOR; None for what is none."""
    found = VERSION.fullmatch(said) if isinstance(said, str) else None
    return tuple(map(int, found.groups())) if found else None


def guests(hostname: str, answer: Answer) -> set[MachineName]:
    """The machines whose guests run on the host, from the answer to `domain list`; raises why not.

    Guests that no machine can have are left out.
    """
    rows = _rows(hostname, answer, "a list of guests")
    if not all(row.get("state") in ("running", "off") for row in rows):
        raise _nonsense(hostname, "a list of guests")
    return {row["name"] for row in rows if row["state"] == "running" and _is_machine(row["name"])}


def ended(hostname: str, answer: Answer) -> dict[MachineName, str]:
    """Why each machine's guest that is off there ended, "poweroff" or "crash", as far as that is told."""
    rows = _rows(hostname, answer, "a list of guests")
    told = [row for row in rows if row.get("state") == "off" and row.get("ended") in ("poweroff", "crash")]
    return {row["name"]: row["ended"] for row in told if _is_machine(row["name"])}


@dataclass(frozen=True)
class Installing:
    """How far an installer is in a guest: words for it, and why it failed, if it has.

    running: whether its guest runs.  keys: fingerprints of the new system's ssh, by kind.
    """

    running: bool
    percent: int
    words: str
    failed: str
    keys: dict[str, str]


def installing(hostname: str, name: MachineName, answer: Answer) -> Installing:
    """How far guest `name` is, from the answer to `domain installed`; raises why that isn't known.

    Its words are the guest's: one line each of letters that can be printed.
    """
    found = _json(hostname, answer)
    if isinstance(found, dict) and found.get("name") == name:
        values: Any = [found.get(key) for key in ("running", "percent", "words", "failed", "keys")]
        said = Installing(*values)
        if _is_sound(said):
            return said
    raise _nonsense(hostname, "how far an installer is")


def _is_sound(said: Installing) -> bool:
    """Whether all that a host has said of an installer is of its type, and of letters that it may have."""
    return (
        (type(said.running), type(said.percent), type(said.keys)) == (bool, int, dict)
        and 0 <= said.percent <= 100
        and all(isinstance(text, str) and LINE.fullmatch(text) for text in (said.words, said.failed))
        and all(KIND.fullmatch(kind) and FINGERPRINT.fullmatch(str(key)) for kind, key in said.keys.items())
    )


def volumes(hostname: str, answer: Answer) -> dict[tuple[MachineName, str], int]:
    """GiB of each volume that is not in the trash, by machine and disk, from the answer to `volume list`.

    Raises why there are none.  Volumes that no machine can have are left out.
    """
    rows = _rows(hostname, answer, "a list of volumes")
    if not all(_has_size(row) for row in rows):
        raise _nonsense(hostname, "a list of volumes")
    kept = [row for row in rows if row.get("trash") is None and _is_machine(row["name"], row["disk"])]
    return {(row["name"], row["disk"]): row["size"] for row in kept}


def trashed(hostname: str, answer: Answer) -> dict[tuple[MachineName, str, int], int]:
    """GiB of each volume in the trash, by machine, disk and the operation that removed it: see volumes()."""
    rows = _rows(hostname, answer, "a list of volumes")
    if not all(_has_size(row) for row in rows):
        raise _nonsense(hostname, "a list of volumes")
    kept = [row for row in rows if _is_number(row.get("trash")) and _is_machine(row["name"], row["disk"])]
    return {(row["name"], row["disk"], row["trash"]): row["size"] for row in kept}


def job_ended(hostname: str, token: int, answer: Answer) -> dict[str, Any] | None:
    """Whether the job of a token has ended, from the answer to `job`: None while it goes on.

    Raises why it failed.
    """
    found = _json(hostname, answer)
    if not isinstance(found, dict) or found.get("token") != token:
        raise _nonsense(hostname, "the state of a job")
    if found.get("state") == "running":
        return None
    code, said = found.get("status"), found.get("said")
    if found.get("state") != "ended" or type(code) is not int or not isinstance(said, str):
        raise _nonsense(hostname, "the state of a job")
    if code:
        error = failure(code, said, hostname)
        raise GaveUp(error.message, error.hint) if isinstance(error, NoAnswer) else error
    return {}


def job_progress(answer: str) -> str:
    """How far a job has come, for people, from the answer to `job`; "" where that isn't told."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return ""
    percent, rate = (found.get("percent"), found.get("rate")) if isinstance(found, dict) else (None, None)
    if type(percent) is not int or type(rate) is not int:
        return ""
    return f"{percent} %, {rate} MiB/s" if 0 <= percent <= 100 and 0 <= rate <= LARGEST else ""


def _is_number(value: object) -> bool:
    """Whether an operation can have it."""
    return type(value) is int and 0 < value < 1 << 63


def _json(hostname: str, answer: Answer) -> Any:
    if isinstance(answer, InvirtError):
        raise answer
    try:
        return json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise _nonsense(hostname, "JSON") from error


def _rows(hostname: str, answer: Answer, what: str) -> list[dict[str, Any]]:
    """A list of objects, each with a name."""
    found = _json(hostname, answer)
    rows: Iterable[Any] = found if isinstance(found, list) else [None]
    if not all(isinstance(row, dict) and isinstance(row.get("name"), str) for row in rows):
        raise _nonsense(hostname, what)
    return list(rows)


def _is_machine(name: str, disk: str = "hda") -> bool:
    """Whether a machine, and a disk of it, can be called so."""
    return validate.passes(name, validate.machine_name) and validate.passes(disk, validate.disk_name)


def _has_size(row: dict[str, Any]) -> bool:
    size = row.get("size")
    return isinstance(row.get("disk"), str) and type(size) is int and 0 <= size <= LARGEST


def _nonsense(hostname: str, what: str) -> Nonsense:
    return Nonsense(f"{hostname} answers, but not with {what}")
