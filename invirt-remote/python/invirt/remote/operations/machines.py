"""Create, delete, rename, resize: what a machine is."""

from __future__ import annotations

from invirt import config
from invirt.base.errors import BadInput
from invirt.remote import placement, quota, trash
from invirt.remote.operations import addresses, steps
from invirt.remote.operations.admission import claim_name, lock_machine, must_be_off, wanted
from invirt.remote.operations.disks import enter_disk, plan_growth
from invirt.remote.operations.model import Detail, Kind, Operation, Plan, Planned, Request, Step
from invirt.remote.rows import Cursor
from invirt.remote.survey import Seen, Survey

FIRST_DISK = "hda"


def _delete_rows(cursor: Cursor, operation: Operation, at: Detail) -> None:
    cursor.execute("DELETE FROM machines WHERE machine_id = %s", (operation.machine_id,))


def _put_rows(cursor: Cursor, operation: Operation, at: Detail) -> None:
    trash.put_machine(cursor, operation.machine_id, operation.operation_id)


def _set_name(cursor: Cursor, operation: Operation, at: Detail) -> None:
    cursor.execute(
        "UPDATE machines SET name = %s WHERE machine_id = %s", (at["new_name"], operation.machine_id)
    )


def _set_size(cursor: Cursor, operation: Operation, at: Detail) -> None:
    cursor.execute(
        "UPDATE machines SET memory = %s, cpus = %s WHERE machine_id = %s",
        (at["memory"], at["cpus"], operation.machine_id),
    )


def _set_old_size(cursor: Cursor, operation: Operation, at: Detail) -> None:
    cursor.execute(
        "UPDATE machines SET memory = %s, cpus = %s WHERE machine_id = %s",
        (at["old_memory"], at["old_cpus"], operation.machine_id),
    )


ENTER = Step(
    name="enter machine",
    words="entering {name} with address {ip}",
    undo_words="removing {name} and its address {ip}",
    unreserve=_delete_rows,
)
FORGET = Step(
    name="forget machine",
    words="entering {name} in the trash, with its addresses and who may use it",
    undo_words="nothing: this is the last step",
    record=_put_rows,
    records="{name} is in the trash",
    pivot=True,
)
NAME = Step(
    name="set name",
    words="calling {name} {new_name}",
    undo_words="nothing: this is the last step",
    record=_set_name,
    records="it is called {new_name}",
    pivot=True,
)
SIZE = Step(
    name="set size",
    words="giving {name} {memory} MiB and {cpus} CPUs",
    undo_words="leaving {name} its {old_memory} MiB and {old_cpus} CPUs",
    unreserve=_set_old_size,
    record=_set_size,
    records="{memory} MiB and {cpus} CPUs",
    pivot=True,
)


def _admit_create(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    name, wants = request.machine_name, request.arguments
    if survey.seen != Seen():
        raise BadInput(f"there is a machine called {name} already", hint="Choose another name.")
    if survey.running_on:
        raise BadInput(f"{name} can't be used: a guest of that name runs on {survey.running_on[0].name}")
    size, kind = wants.get("disk", config.machines.disk), wants.get("type") or config.machines.type
    owner_id = quota.lock_owner(cursor, request.actor.principal, wants.get("owner"))
    claim_name(cursor, name)
    machine_id, needs = _insert_machine(cursor, request, owner_id, kind)
    named = wants.get("pool")
    pool = survey.known_pool(named) if named else placement.usual_pool(cursor, survey, needs)
    volume = steps.on_volume(steps.CREATE_VOLUME, survey, name, FIRST_DISK, pool, size=size)
    placement.require(survey, f"a machine of type {kind}", needs, [pool])
    enter_disk(cursor, machine_id, FIRST_DISK, size, pool)
    ip = addresses.add_nic(cursor, machine_id)
    return Plan(machine_id, [Planned(ENTER, {"name": name, "ip": ip}), volume])


def _insert_machine(cursor: Cursor, request: Request, owner_id: int, kind: str) -> tuple[int, list[str]]:
    """Its number, and what machines of its type need."""
    wants, defaults = request.arguments, config.machines
    cursor.execute(
        "INSERT INTO machines (name, owner_id, type_id, memory, cpus, description)"
        " SELECT %s, %s, type_id, %s, %s, %s FROM types WHERE name = %s"
        " RETURNING machine_id, (SELECT needs FROM types t WHERE t.type_id = machines.type_id)",
        (request.machine_name, owner_id, wants.get("memory", defaults.memory),
         wants.get("cpus", defaults.cpus), wants.get("description") or "", kind),
    )  # fmt: skip
    row = cursor.fetchone()
    if not row:
        cursor.execute("SELECT name FROM types ORDER BY name")
        known = ", ".join(found.name for found in cursor.fetchall())
        raise BadInput(
            f"there is no type of machines called {kind}", hint=f"There is: {known or 'none at all'}."
        )
    return int(row.machine_id), row.needs


def _admit_delete(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    must_be_off(cursor, machine, survey)
    volumes = [
        steps.on_volume(steps.REMOVE_VOLUME, survey, machine.name, disk, pool)
        for disk, pool in machine.pools.items()
    ]
    return Plan(machine.machine_id, [*volumes, Planned(FORGET, {"name": machine.name, "in_trash": True})])


def _admit_rename(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    new = wanted(request.arguments, "name", str)
    must_be_off(cursor, machine, survey)
    claim_name(cursor, new)
    volumes = [
        steps.on_volume(steps.RENAME_VOLUME, survey, machine.name, disk, pool, new_name=new, new_disk=disk)
        for disk, pool in machine.pools.items()
    ]
    return Plan(machine.machine_id, [*volumes, Planned(NAME, {"name": machine.name, "new_name": new})])


def _admit_resize(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    must_be_off(cursor, machine, survey)
    memory = request.arguments.get("memory") or machine.memory
    cpus = request.arguments.get("cpus") or machine.cpus
    planned = plan_growth(cursor, machine, request, survey)
    if (memory, cpus) != (machine.memory, machine.cpus):
        # What is given up is kept until the end: an undoing could not get it back.
        cursor.execute(
            "UPDATE machines SET memory = %s, cpus = %s WHERE machine_id = %s",
            (max(memory, machine.memory), max(cpus, machine.cpus), machine.machine_id),
        )
        detail = {"name": machine.name, "memory": memory, "cpus": cpus}
        old = {"old_memory": machine.memory, "old_cpus": machine.cpus}
        planned.append(Planned(SIZE, {**detail, **old}))
    return Plan(machine.machine_id, planned)


KINDS = (
    Kind("create", "Make a machine: its name, address and disk", _admit_create,
         (ENTER, steps.CREATE_VOLUME), who="anyone"),
    Kind("delete", "Delete a machine that is off; its disks go to the trash", _admit_delete,
         (steps.REMOVE_VOLUME, FORGET)),
    Kind("rename", "Give a machine that is off another name", _admit_rename, (steps.RENAME_VOLUME, NAME)),
    Kind("resize", "Give a machine that is off other memory or CPUs, or larger disks", _admit_resize,
         (steps.GROW_VOLUME, SIZE)),
)  # fmt: skip
