"""The steps that several kinds of operations are made of: those on volumes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from invirt.base.errors import BadInput, NotFound
from invirt.base.names import MachineName
from invirt.remote.answers import volumes
from invirt.remote.operations.model import Action, Detail, Operation, Planned, Step, Work
from invirt.remote.rows import Cursor
from invirt.remote.survey import Survey


def _create(work: Work, at: Detail) -> None:
    volume(work, at, "create", at["name"], at["disk"], at["size"], work.token)


def _remove(work: Work, at: Detail) -> None:
    volume(work, at, "remove", at["name"], at["disk"], work.operation_id, work.token)


def _restore(work: Work, at: Detail) -> None:
    volume(work, at, "restore", at["name"], at["disk"], work.operation_id, work.token)


def _rename(work: Work, at: Detail) -> None:
    old, new = (at["name"], at["disk"]), (at["new_name"], at["new_disk"])
    volume(work, at, "rename", *old, *new, work.token)


def _rename_back(work: Work, at: Detail) -> None:
    old, new = (at["name"], at["disk"]), (at["new_name"], at["new_disk"])
    volume(work, at, "rename", *new, *old, work.token)


def _grow(work: Work, at: Detail) -> None:
    volume(work, at, "resize", at["name"], at["disk"], at["size"], work.token)


def _true_size(work: Work, at: Detail) -> Detail:
    """How large the volume is, after no older command can change it any more."""
    with suppress(BadInput):  # "shrinking" changes nothing, but brings the host our token
        volume(work, at, "resize", at["name"], at["disk"], at["old_size"], work.token)
    found = volumes(at["hostname"], volume(work, at, "list"))
    if (at["name"], at["disk"]) not in found:
        raise NotFound(f"{at['host']} has no volume for disk {at['disk']} of {at['name']}")
    return {"true_size": found[at["name"], at["disk"]]}


def _set_true_size(cursor: Cursor, operation: Operation, at: Detail) -> None:
    size = at.get("true_size", at["old_size"])
    cursor.execute(
        "UPDATE disks SET size = %s WHERE machine_id = %s AND name = %s",
        (size, operation.machine_id, at["disk"]),
    )


CREATE_VOLUME = Step(
    name="create volume",
    words="creating disk {disk} of {name} ({size} GiB) on {host}",
    undo_words="moving disk {disk} of {name} to the trash",
    do=Action(_create),
    undo=Action(_remove),
)
REMOVE_VOLUME = Step(
    name="remove volume",
    words="moving disk {disk} of {name} to the trash",
    undo_words="taking disk {disk} of {name} back from the trash",
    do=Action(_remove),
    undo=Action(_restore),
)
RENAME_VOLUME = Step(
    name="rename volume",
    words="renaming disk {disk} of {name} to {new_disk} of {new_name}",
    undo_words="renaming disk {new_disk} of {new_name} back to {disk} of {name}",
    do=Action(_rename),
    undo=Action(_rename_back),
    tokens=lambda at: {at["name"], at["new_name"]},
)
GROW_VOLUME = Step(
    name="grow volume",
    words="growing disk {disk} of {name} from {old_size} to {size} GiB",
    undo_words="setting the size of disk {disk} of {name} to what the volume has",
    do=Action(_grow),
    undo=Action(_true_size),
    unreserve=_set_true_size,
)


def on_volume(step: Step, survey: Survey, name: MachineName, disk: str, pool: str, **more: Any) -> Planned:
    """One of these steps, planned for one disk in a pool, on a host that sees it.

    A host of the version before isn't told the pool: it knows none but the first.
    """
    host = survey.volume_host(name, pool)
    told = {} if survey.told[host.host_id].storage is None else {"pool": pool}
    return Planned(step, {"name": name, "disk": disk, **told, **host.detail, **more})


def volume(work: Work, at: Detail, verb: str, *words: object) -> str:
    """Run a command on a volume of the step's pool; the first where none is said."""
    pool = ("--pool", at["pool"]) if at.get("pool") else ()
    return work.call(at, "volume", verb, *pool, *words)
