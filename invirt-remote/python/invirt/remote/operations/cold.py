"""Cold-migrate: a machine goes to another host while it is off, and its disks with it where they must.

One that runs is asked to shut down, as its owner would, and boots there; none is ended by force.  Disks
that the other host sees stay where they are.  The others are copied from host to host.  Until all
copies are whole the machine's home and its disks are the old ones, and whatever fails is undone: it
boots again where it was.  Then its rows change at once, which is the pivot.
"""

from __future__ import annotations

from collections.abc import Collection

from invirt.base.errors import BadInput, NoRoom
from invirt.remote import placement, trash
from invirt.remote.operations import steps
from invirt.remote.operations.admission import Machine, lock_machine, must_be_off
from invirt.remote.operations.model import (
    Action,
    Detail,
    Kind,
    Operation,
    Plan,
    Planned,
    Request,
    Step,
    Work,
    job,
)
from invirt.remote.operations.moving import give_up_source, give_up_target, named_host
from invirt.remote.operations.power import CREATE, SHUTDOWN
from invirt.remote.rows import Cursor
from invirt.remote.survey import Host, Survey
from invirt.remote.trash import Found

LONGEST = 24 * 3600  # seconds that the copy of one disk may take


def _receive(work: Work, at: Detail) -> None:
    steps.volume(work, at, "receive", at["name"], at["disk"], at["size"], at["source"], work.token)


def _send(work: Work, at: Detail) -> Detail | None:
    words = ("--pool", at["pool"], at["name"], at["disk"], at["target"])
    return work.begin(at, "volume", "send", *words)


def _sent(work: Work, at: Detail) -> Detail | None:
    """Whether it is whole."""
    return work.ended(at)


def _go(cursor: Cursor, operation: Operation, at: Detail) -> None:
    """From now on the machine is at home there, with all its disks."""
    if at["on"]:
        give_up_source(cursor, operation, at)
    for disk, pool in at["moves"].items():
        cursor.execute(
            "UPDATE disks SET pool_id = (SELECT pool_id FROM pools WHERE name = %s)"
            " WHERE machine_id = %s AND name = %s",
            (pool, operation.machine_id, disk),
        )


def _enter_old(cursor: Cursor, operation: Operation, at: Detail) -> None:
    trash.put_stray(cursor, at["name"], at["disk"], Found(at["size"], operation.operation_id, at["pool"]))


ROOM = Step(
    name="reserve elsewhere",
    words="reserving {memory} MiB for {name} on {host}",
    undo_words="giving back the {memory} MiB that are reserved for {name} on {host}",
    unreserve=give_up_target,
)
SHUT = Step(
    name="shut down to move",
    words="asking {name} on {host} to shut down",
    undo_words="having {name} run on {host} again",
    do=SHUTDOWN,
    undo=CREATE,
)
MAKE = Step(
    name="make volume for copy",
    words="making disk {disk} of {name} ({size} GiB) in the pool {pool} on {host}",
    undo_words="moving the copy of disk {disk} of {name} to the trash",
    do=Action(_receive),
    undo=steps.CREATE_VOLUME.undo,
)
COPY = Step(
    name="copy volume",
    words="copying disk {disk} of {name} from {host} to {to} ({progress})",
    undo_words="making sure that {host} copies nothing of {name} any more",
    do=Action(_send, _sent, "disk {disk} of {name} is on {to}", limit=lambda: LONGEST),
    undo=job("domain", "fence"),
)
GO = Step(
    name="change home",
    words="entering {host} as the home of {name}",
    undo_words="nothing: it can't be undone any more",
    record=_go,
    records="{host} is the home of {name}, and its disks are those that {host} sees",
    pivot=True,
)
BOOT = Step(
    name="boot there",
    words="booting {name} on {host}",
    undo_words="nothing: it can't be undone any more",
    do=CREATE,
)
CLEAR = Step(
    name="remove what was copied",
    words="moving what disk {disk} of {name} was on {host} to the trash",
    undo_words="nothing: it can't be undone any more",
    do=steps.REMOVE_VOLUME.do,
    record=_enter_old,
    records="it is in the trash, for administrators",
)


def _admit(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    named = named_host(survey, request.arguments.get("host"))
    if machine.host_id is None or survey.home_state() != "running":
        must_be_off(cursor, machine, survey)
        target = _for_disks(survey, machine, named)
        return Plan(machine.machine_id, _moves(survey, machine, None, target))
    source = survey.host(machine.host_id)
    target = _for_guest(cursor, survey, machine, source, named)
    return Plan(machine.machine_id, _moves(survey, machine, source, target), reserves=target.host_id)


def _for_guest(cursor: Cursor, survey: Survey, machine: Machine, source: Host, named: Host | None) -> Host:
    """Where it is to boot: the named host, or the best one; raises NoRoom, which says why not."""
    if named == source:
        raise BadInput(f"{machine.name} runs on {source.name} already")
    barred = {host.host_id: f"is not {named.name}" for host in survey.hosts if named and host != named}
    barred[source.host_id] = "it runs there already"
    stay = _that_stay(survey, machine, named, source)
    return placement.choose(cursor, survey, machine.memory, machine.needs, stay, barred)


def _for_disks(survey: Survey, machine: Machine, named: Host | None) -> Host:
    """The host that is to see the disks of a machine that is off."""
    if named is None:
        raise BadInput(f"{machine.name} is off", hint="Name the host that its disks shall go to.")
    if not _blind(machine, named):
        raise BadInput(
            f"{machine.name} is off, and {named.name} sees its disks: there is nothing to move",
            hint=f"control {machine.name} create boots it where there is room.",
        )
    if lack := placement.misses(named, survey, machine.needs, _that_stay(survey, machine, named, None)):
        raise NoRoom(f"{machine.name} can't run on {named.name}: {lack}")
    return named


def _blind(machine: Machine, host: Host) -> list[str]:
    """Disks that the host doesn't see."""
    return [disk for disk, pool in machine.pools.items() if pool not in host.pools]


def _that_stay(survey: Survey, machine: Machine, named: Host | None, source: Host | None) -> set[str]:
    """The pools from which nothing is copied: those that the host sees, or any other than the source."""
    hosts = [named] if named else [host for host in survey.hosts if host != source]
    return {pool for pool in machine.pools.values() if any(pool in host.pools for host in hosts)}


def _moves(survey: Survey, machine: Machine, source: Host | None, target: Host) -> list[Planned]:
    """All steps; source: where it runs, None if it is off.

    It is shut down as late as can be, so that undoing boots it before it waits for a target that is gone.
    """
    about = {"name": machine.name, "memory": machine.memory}
    there = about | target.detail
    to = {disk: _pool_for(survey, target, machine.pools[disk]) for disk in _blind(machine, target)}
    made, copied, cleared = [], [], []
    for disk, pool in to.items():
        old = machine.pools[disk]
        holder = source or survey.volume_host(machine.name, old)
        size = {"disk": disk, "size": machine.disks[disk]}
        made.append(Planned(MAKE, there | size | {"pool": pool, "source": holder.hostname}))
        link = {"pool": old, "target": target.hostname, "to": target.name, "progress": "0 %"}
        copied.append(Planned(COPY, about | size | link | holder.detail))
        cleared.append(Planned(CLEAR, about | size | {"pool": old} | holder.detail))
    go = Planned(GO, there | {"moves": to, "on": source is not None})
    if source is None:
        return [*made, *copied, go, *cleared]
    shut = Planned(SHUT, about | source.detail)
    return [Planned(ROOM, there), *made, shut, *copied, go, Planned(BOOT, there), *cleared]


def _pool_for(survey: Survey, target: Host, pool: str) -> str:
    """Where on the target a disk of that pool goes: the first of the same kind, or of any."""
    seen: Collection[str] = [one for one in survey.pools if one in target.pools]
    if not seen:
        raise BadInput(f"{target.name} sees no pool that a disk could go to", hint="invirt-admin pool set")
    return min(seen, key=lambda one: survey.pools[one] != survey.pools[pool])


KINDS = (
    Kind("cold-migrate", "Move the machine, and its disks where they must, to another host while it is off",
         _admit, (ROOM, MAKE, SHUT, COPY, GO, BOOT, CLEAR), who="administrator"),
)  # fmt: skip
