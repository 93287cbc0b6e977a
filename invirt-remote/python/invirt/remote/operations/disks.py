"""Adding, removing, growing and renaming a machine's disks."""

from __future__ import annotations

from invirt import config
from invirt.base.errors import BadInput, NoRoom, NotFound
from invirt.remote import placement, trash
from invirt.remote.operations import steps
from invirt.remote.operations.admission import Machine, lock_machine, must_be_off, wanted
from invirt.remote.operations.model import Detail, Kind, Operation, Plan, Planned, Request, Step
from invirt.remote.rows import Cursor
from invirt.remote.survey import Survey


def _delete_row(cursor: Cursor, operation: Operation, at: Detail) -> None:
    cursor.execute(
        "DELETE FROM disks WHERE machine_id = %s AND name = %s", (operation.machine_id, at["disk"])
    )


def _put_row(cursor: Cursor, operation: Operation, at: Detail) -> None:
    trash.put_disk(cursor, operation.machine_id, at["disk"], operation.operation_id)


def _rename_row(cursor: Cursor, operation: Operation, at: Detail) -> None:
    cursor.execute(
        "UPDATE disks SET name = %s WHERE machine_id = %s AND name = %s",
        (at["new_disk"], operation.machine_id, at["disk"]),
    )


ENTER_DISK = Step(
    name="enter disk",
    words="entering disk {disk} of {name}",
    undo_words="removing disk {disk} of {name} from the database",
    unreserve=_delete_row,
)
FORGET_DISK = Step(
    name="forget disk",
    words="entering disk {disk} of {name} in the trash",
    undo_words="nothing: this is the last step",
    record=_put_row,
    records="disk {disk} of {name} is in the trash",
    pivot=True,
)
NAME_DISK = Step(
    name="set disk's name",
    words="calling disk {disk} of {name} {new_disk}",
    undo_words="nothing: this is the last step",
    record=_rename_row,
    records="it is called {new_disk}",
    pivot=True,
)


def plan_growth(cursor: Cursor, machine: Machine, request: Request, survey: Survey) -> list[Planned]:
    """Enter the new sizes in `disks` ({name: GiB}) of the request, and plan to grow the volumes."""
    planned = []
    for disk, size in sorted((request.arguments.get("disks") or {}).items()):
        old = _size_of(machine, disk)
        if size < old:
            raise BadInput(f"disk {disk} of {machine.name} has {old} GiB and can't shrink to {size}")
        if size > old:
            cursor.execute(
                "UPDATE disks SET size = %s WHERE machine_id = %s AND name = %s",
                (size, machine.machine_id, disk),
            )
            sizes, pool = {"size": size, "old_size": old}, machine.pools[disk]
            planned.append(steps.on_volume(steps.GROW_VOLUME, survey, machine.name, disk, pool, **sizes))
    return planned


def _size_of(machine: Machine, disk: str) -> int:
    if disk not in machine.disks:
        raise NotFound(f"{machine.name} has no disk {disk}", hint=f"It has: {', '.join(machine.disks)}.")
    return machine.disks[disk]


def enter_disk(cursor: Cursor, machine_id: int | None, disk: str, size: int, pool: str) -> None:
    """Enter a disk's row."""
    cursor.execute(
        "INSERT INTO disks (machine_id, name, size, pool_id)"
        " SELECT %s, %s, %s, pool_id FROM pools WHERE name = %s",
        (machine_id, disk, size, pool),
    )


def add_disk(cursor: Cursor, machine: Machine, disk: str, size: int, pool: str, survey: Survey) -> None:
    """Enter one more disk; raises BadInput if no host sees the pools of all."""
    placement.require(survey, machine.name, machine.needs, {pool, *machine.pools.values()})
    enter_disk(cursor, machine.machine_id, disk, size, pool)


def must_be_new(machine: Machine, disk: str) -> None:
    """Raises BadInput if the machine has a disk of that name."""
    if disk in machine.disks:
        raise BadInput(f"{machine.name} has a disk {disk} already", hint="Choose another of hda to hdz.")


def must_be_one_more(machine: Machine, disk: str) -> None:
    """As must_be_new; raises NoRoom if the machine has as many disks as it may have."""
    must_be_new(machine, disk)
    if len(machine.disks) >= config.machines.max_disks:
        raise NoRoom(f"{machine.name} has {len(machine.disks)} disks, which is all that a machine may have")


def _admit_create(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    disk, size = wanted(request.arguments, "disk", str), wanted(request.arguments, "size", int)
    must_be_off(cursor, machine, survey)
    must_be_one_more(machine, disk)
    named = request.arguments.get("pool") or next(iter(machine.pools.values()), None)
    pool = survey.known_pool(named)
    volume = steps.on_volume(steps.CREATE_VOLUME, survey, machine.name, disk, pool, size=size)
    add_disk(cursor, machine, disk, size, pool, survey)
    return Plan(machine.machine_id, [Planned(ENTER_DISK, {"name": machine.name, "disk": disk}), volume])


def _admit_remove(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    disk = wanted(request.arguments, "disk", str)
    must_be_off(cursor, machine, survey)
    _size_of(machine, disk)
    volume = steps.on_volume(steps.REMOVE_VOLUME, survey, machine.name, disk, machine.pools[disk])
    row = Planned(FORGET_DISK, {"name": machine.name, "disk": disk, "in_trash": True})
    return Plan(machine.machine_id, [volume, row])


def _admit_resize(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    disk, size = wanted(request.arguments, "disk", str), wanted(request.arguments, "size", int)
    must_be_off(cursor, machine, survey)
    wish = Request(request.kind, request.actor, request.machine_name, {"disks": {disk: size}})
    return Plan(machine.machine_id, plan_growth(cursor, machine, wish, survey))


def _admit_rename(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    disk, new = wanted(request.arguments, "disk", str), wanted(request.arguments, "name", str)
    must_be_off(cursor, machine, survey)
    _size_of(machine, disk)
    must_be_new(machine, new)
    names = {"new_name": machine.name, "new_disk": new}
    volume = steps.on_volume(steps.RENAME_VOLUME, survey, machine.name, disk, machine.pools[disk], **names)
    row = Planned(NAME_DISK, {"name": machine.name, "disk": disk, **names})
    return Plan(machine.machine_id, [volume, row])


KINDS = (
    Kind("disk-create", "Give a machine that is off another disk", _admit_create,
         (ENTER_DISK, steps.CREATE_VOLUME)),
    Kind("disk-remove", "Move a disk of a machine that is off to the trash", _admit_remove,
         (steps.REMOVE_VOLUME, FORGET_DISK)),
    Kind("disk-resize", "Grow a disk of a machine that is off", _admit_resize, (steps.GROW_VOLUME,)),
    Kind("disk-rename", "Give a disk of a machine that is off another name", _admit_rename,
         (steps.RENAME_VOLUME, NAME_DISK)),
)  # fmt: skip
