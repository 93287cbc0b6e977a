"""What lies in the trash: giving it back, ending it, and what belongs to no machine."""

from __future__ import annotations

from typing import Any

from invirt import config
from invirt.base.errors import BadInput
from invirt.base.names import MachineName
from invirt.remote import trash
from invirt.remote.operations import addresses, steps
from invirt.remote.operations.admission import claim_name, lock_machine, lock_name, must_be_off, wanted
from invirt.remote.operations.disks import add_disk, enter_disk, must_be_one_more
from invirt.remote.operations.model import Action, Detail, Kind, Operation, Plan, Planned, Request, Step, Work
from invirt.remote.rows import Cursor
from invirt.remote.survey import Seen, Survey
from invirt.remote.trash import Found, Trashed

USUAL_PRIORITY = 5  # of what the version before put there


def _give_back(work: Work, at: Detail) -> None:
    old, new = (at["old_name"], at["old_disk"]), (at["name"], at["disk"])
    steps.volume(work, at, "undelete", *old, at["trashed_by"], *new, work.token)


def _return(work: Work, at: Detail) -> None:
    old, new = (at["old_name"], at["old_disk"]), (at["name"], at["disk"])
    steps.volume(work, at, "return", *old, at["trashed_by"], *new, work.token)


def _purge(work: Work, at: Detail) -> Detail:
    steps.volume(work, at, "purge", at["name"], at["disk"], at["trashed_by"], work.token)
    return {"ended": True}


def _item(at: Detail) -> str:
    """What a command for something in the trash takes a token for: its name may be another machine's."""
    return f"trash.{at['trashed_by']}"


def _leave_machine(cursor: Cursor, operation: Operation, at: Detail) -> None:
    cursor.execute("DELETE FROM machines WHERE machine_id = %s", (operation.machine_id,))
    trash.mark(cursor, at["trash_id"], None)


def _leave_disk(cursor: Cursor, operation: Operation, at: Detail) -> None:
    cursor.execute(
        "DELETE FROM disks WHERE machine_id = %s AND name = %s", (operation.machine_id, at["disk"])
    )
    trash.mark(cursor, at["trash_id"], None)


def _forget_ended(cursor: Cursor, operation: Operation, at: Detail) -> None:
    """What was begun has been ended, so only the rest stays in the trash."""
    if at.get("ended"):
        cursor.execute(
            "DELETE FROM trash_disks WHERE trash_id = %s AND name = %s", (at["trash_id"], at["disk"])
        )


def _leave(cursor: Cursor, operation: Operation, at: Detail) -> None:
    trash.mark(cursor, at["trash_id"], None)


def _forget(cursor: Cursor, operation: Operation, at: Detail) -> None:
    trash.forget(cursor, at["trash_id"])


def _enter_stray(cursor: Cursor, operation: Operation, at: Detail) -> None:
    found = Found(at["size"], operation.operation_id, at.get("pool", ""))
    trash.put_stray(cursor, at["name"], at["disk"], found)


ENTER_MACHINE = Step(
    name="enter machine again",
    words="entering {name} with its old number and address {ip}",
    undo_words="removing {name}, which stays in the trash",
    unreserve=_leave_machine,
)
ENTER_DISK = Step(
    name="enter disk again",
    words="entering disk {disk} of {name}",
    undo_words="removing disk {disk} of {name} from the database: it stays in the trash",
    unreserve=_leave_disk,
)
GIVE_BACK = Step(
    name="give volume back",
    words="taking disk {disk} of {name} out of the trash",
    undo_words="putting disk {disk} of {name} back into the trash",
    do=Action(_give_back),
    undo=Action(_return),
    tokens=lambda at: {at["name"], _item(at)},
)
TAKE = Step(
    name="take from trash",
    words="ending what {name} has in the trash",
    undo_words="leaving in the trash what was not ended",
    unreserve=_leave,
)
PURGE = Step(
    name="end volume",
    words="ending disk {disk} of {name} for good",
    undo_words="ending disk {disk} of {name} all the same: what is left of it nobody knows",
    do=Action(_purge),
    undo=Action(_purge),
    unreserve=_forget_ended,
    tokens=lambda at: {_item(at)},
)
LEAVE_TRASH = Step(
    name="leave trash",
    words="removing what was {name} from the list of what is in the trash",
    undo_words="nothing: this is the last step",
    record=_forget,
    records="it is in the trash no more",
    pivot=True,
)
ENTER_TRASH = Step(
    name="enter in trash",
    words="entering disk {disk} of {name} in the list of what is in the trash",
    undo_words="nothing: this is the last step",
    record=_enter_stray,
    records="disk {disk} of {name} is in the trash",
    pivot=True,
)


def _take(cursor: Cursor, request: Request, taken: str) -> Trashed:
    """What the request is about, locked; only members of its owner, or administrators, get it."""
    actor = request.actor
    who = None if actor.administrator else actor.principal
    return trash.take(cursor, who, wanted(request.arguments, "trash", int), taken)


def _volumes(step: Step, survey: Survey, found: Trashed, name: MachineName) -> list[Planned]:
    """A step for each disk."""
    return [
        steps.on_volume(step, survey, name, disk, one.pool, old_name=found.name, old_disk=disk, size=one.size,
                        trashed_by=one.operation, trash_id=found.trash_id)
        for disk, one in found.disks.items()
    ]  # fmt: skip


def _admit_undelete(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    """machine_name is what the machine shall be called; what a create must find, this must find too."""
    name, found = request.machine_name, _take(cursor, request, "undelete")
    if found.machine is None:
        raise BadInput(f"{found.trash_id} in the trash is a single disk, of {found.name}")
    hint = "Give it another name with --name."
    if survey.seen != Seen():
        raise BadInput(f"there is a machine called {name} by now", hint=hint)
    if survey.running_on:
        raise BadInput(f"{name} can't be used: a guest of that name runs on {survey.running_on[0].name}")
    try:
        claim_name(cursor, name)
    except BadInput as error:
        raise BadInput(error.message, hint=hint) from error
    if not found.disks:  # some host must have told whether a guest has the name
        survey.volume_host(name, survey.first_pool)
    ip = _enter(cursor, found, found.machine, name)
    first = Planned(ENTER_MACHINE, {"name": name, "ip": ip, "trash_id": found.trash_id})
    last = Planned(LEAVE_TRASH, {"name": found.name, "trash_id": found.trash_id})
    return Plan(found.machine_id, [first, *_volumes(GIVE_BACK, survey, found, name), last])


def _enter(cursor: Cursor, found: Trashed, machine: dict[str, Any], name: MachineName) -> str:
    """Make the machine's rows again, with its old number; returns its addresses."""
    cursor.execute(
        "INSERT INTO machines (machine_id, name, owner_id, type_id, memory, cpus, description, created_at,"
        " autostart, priority, system, installed_at) OVERRIDING SYSTEM VALUE"
        " SELECT %s, %s, %s, type_id, %s, %s, %s, %s, %s, %s, %s, %s FROM types WHERE name = %s",
        (found.machine_id, name, found.owner_id, machine["memory"], machine["cpus"], machine["description"],
         machine["created_at"], machine["autostart"], machine.get("priority", USUAL_PRIORITY),
         machine.get("system"), machine.get("installed_at"), machine["type"]),
    )  # fmt: skip
    if cursor.rowcount == 0:
        raise BadInput(
            f"there is no type of machines called {machine['type']} any more",
            hint=f"Ask {config.site.contact}: {name} can't be made again without it.",
        )
    for disk, one in found.disks.items():
        enter_disk(cursor, found.machine_id, disk, one.size, one.pool)
    for principal in machine["access"]:
        cursor.execute(
            "INSERT INTO machine_access (machine_id, principal) VALUES (%s, %s)",
            (found.machine_id, principal),
        )
    number = found.machine_id or 0
    return ", ".join(addresses.add_old_nic(cursor, number, nic) for nic in machine["nics"])


def _admit_disk_undelete(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    """machine_name is the machine that gets the disk."""
    machine = lock_machine(cursor, request, survey)
    must_be_off(cursor, machine, survey)
    found = _take(cursor, request, "undelete")
    if found.machine is not None or len(found.disks) != 1:
        raise BadInput(f"{found.trash_id} in the trash is no single disk")
    [(disk, one)] = found.disks.items()
    must_be_one_more(machine, disk)
    volumes = _volumes(GIVE_BACK, survey, found, machine.name)
    add_disk(cursor, machine, disk, one.size, one.pool, survey)
    about = {"disk": disk, "trash_id": found.trash_id}
    first = Planned(ENTER_DISK, {"name": machine.name, **about})
    last = Planned(LEAVE_TRASH, {"name": found.name, **about})
    return Plan(machine.machine_id, [first, *volumes, last])


def _admit_purge(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    """machine_name is what was removed; another machine may be called so by now."""
    found = _take(cursor, request, "purge")
    about = {"name": found.name, "trash_id": found.trash_id}
    volumes = _volumes(PURGE, survey, found, found.name)
    return Plan(None, [Planned(TAKE, about), *volumes, Planned(LEAVE_TRASH, about)])


def _admit_stray(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    """machine_name is that of the volume; there may be a machine of that name, or none."""
    name, disk = request.machine_name, wanted(request.arguments, "disk", str)
    machine_id, pool = None, survey.known_pool(request.arguments.get("pool"))
    if survey.seen == Seen():
        lock_name(cursor, name)
    else:
        machine = lock_machine(cursor, request, survey)
        machine_id = machine.machine_id
        if machine.pools.get(disk) == pool:
            raise BadInput(f"disk {disk} of {name} belongs to a machine")
    size = wanted(request.arguments, "size", int)
    volume = steps.on_volume(steps.REMOVE_VOLUME, survey, name, disk, pool)
    about = {"name": name, "disk": disk, "size": size, "pool": pool}
    return Plan(machine_id, [volume, Planned(ENTER_TRASH, about)])


KINDS = (
    Kind("undelete", "Give a machine in the trash back, with its number, disks and addresses",
         _admit_undelete, (ENTER_MACHINE, GIVE_BACK, LEAVE_TRASH), who="trash"),
    Kind("disk-undelete", "Give a disk in the trash back to a machine that is off", _admit_disk_undelete,
         (ENTER_DISK, GIVE_BACK, LEAVE_TRASH)),
    Kind("purge", "End what is in the trash, for good", _admit_purge, (TAKE, PURGE, LEAVE_TRASH),
         who="trash"),
    Kind("volume-trash", "Move a volume that belongs to no machine to the trash", _admit_stray,
         (steps.REMOVE_VOLUME, ENTER_TRASH), who="administrator"),
)  # fmt: skip
