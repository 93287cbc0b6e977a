"""Migrate: a guest goes to another host while it runs.

The target's memory is reserved first, and the target told whom to expect.  Then the source sends
the guest; the pivot is where it has handed it over, which the source alone knows: while it is
silent the operation waits.  Behind it the target lets the guest run, if it doesn't yet.  If the
source was lost, it is passed where the guest runs on the target by then; else the guest boots anew.
"""

from __future__ import annotations

from invirt import config
from invirt.base.errors import BadInput, Busy, CommandFailed, InvirtError, NoRoom, NotFound, Unreachable
from invirt.remote import movable, placement
from invirt.remote.answers import has_arrived, has_moved
from invirt.remote.hosts import GaveUp
from invirt.remote.movable import Ways
from invirt.remote.operations.admission import Machine, lock_machine
from invirt.remote.operations.model import (
    Action,
    Detail,
    HostAction,
    Kind,
    Operation,
    Plan,
    Planned,
    Request,
    Step,
    Work,
    job,
)
from invirt.remote.operations.power import DESTROY
from invirt.remote.operations.surviving import Lost
from invirt.remote.rows import Cursor
from invirt.remote.survey import Host, NotAsked, Survey

LONGEST = 2 * 3600  # seconds until the source must have said how it ended: it gives up long before


def _receive(work: Work, at: Detail) -> None:
    work.call(at, "domain", "receive", at["name"], at["source"], work.token)


def _send(work: Work, at: Detail) -> Detail | None:
    try:
        return work.begin(at, "domain", "send", at["name"], at["target"], at["within"])
    except InvirtError as error:  # it may have been begun all the same
        if _is_silent(error):
            raise
        try:
            return _sent(work, at)
        except InvirtError as now:
            raise now if _is_silent(now) else _ended(error) from None


def _sent(work: Work, at: Detail) -> Detail | None:
    """Whether it has been handed over and cleared away; Unreachable while one is so without the other."""
    try:
        return work.ended(at)
    except InvirtError as error:  # it failed, or was cut off, maybe after it had handed the guest over
        if _is_silent(error):
            raise
        answer = work.call(at, "domain", "moved", at["name"])
        if has_moved(at["hostname"], at["name"], at["target"], answer):
            raise Unreachable(f"{at['host']} has yet to clear away what is left of {at['name']}") from None
        raise _ended(error) from None


def _is_silent(error: InvirtError) -> bool:
    """Whether the source itself gives no answer."""
    return isinstance(error, Unreachable) and not isinstance(error, GaveUp)


def _ended(error: InvirtError) -> InvirtError:
    """What the source's job ended with; that it didn't reach the target is no silence of its own."""
    return CommandFailed(error.message, error.hint) if isinstance(error, GaveUp) else error


def _or_arrived(ask: HostAction) -> HostAction:
    """Where the source was lost, what the target knows counts.

    It has let the guest run only if it has heard from the source that this had handed it over.  One
    that waits there without that word may be older than its disk: the source may have gone on with it.
    """

    def asked(work: Work, at: Detail) -> Detail | None:
        try:
            return ask(work, at)
        except Lost:
            answer = work.call({"hostname": at["target"]}, "domain", "moved", at["name"])
            if has_arrived(at["target"], at["name"], at["hostname"], answer):
                return {}
            raise

    return asked


def give_up_target(cursor: Cursor, operation: Operation, at: Detail) -> None:
    """What was reserved for the move is free again."""
    cursor.execute("DELETE FROM reservations WHERE operation_id = %s", (operation.operation_id,))


def give_up_source(cursor: Cursor, operation: Operation, at: Detail) -> None:
    """From now on the target is the machine's home."""
    cursor.execute(
        "DELETE FROM reservations WHERE machine_id = %s AND operation_id IS DISTINCT FROM %s",
        (operation.machine_id, operation.operation_id),
    )


READY = Step(
    name="make ready",
    words="making {host} ready for {name}",
    undo_words="ending what there is of {name} on {host} and giving back its {memory} MiB",
    do=Action(_receive),
    undo=DESTROY,
    unreserve=give_up_target,
)
HAND_OVER = Step(
    name="hand over",
    words="moving {name} from {host} to {to}",
    undo_words="having {name} go on where it was, on {host}",
    do=Action(_or_arrived(_send), _or_arrived(_sent), "{name} is on {to}", limit=lambda: LONGEST),
    undo=job("domain", "keep"),
    record=give_up_source,
    records="{to} is the home of {name}, and nothing is reserved on {host} any more",
    pivot=True,
    once=True,
)
TAKE_OVER = Step(
    name="take over",
    words="making sure that {name} runs on {host}",
    undo_words="nothing: it can't be undone any more",
    do=job("domain", "arrive"),
)


def _admit(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    if machine.host_id is None or survey.home_state() != "running":
        raise Busy(
            f"{machine.name} is off", hint=f"control {machine.name} create boots it where there is room."
        )
    source = survey.host(machine.host_id)
    ways = movable.ways(cursor, survey, machine.needs, set(machine.pools.values()), source)
    if ways.stays:
        raise BadInput(
            f"{machine.name} can't move while it runs: {ways.stays}",
            hint=movable.offer(machine.name),
        )
    named = named_host(survey, request.arguments.get("host"))
    target = _target(cursor, survey, machine, ways, source, named)
    within = request.arguments.get("within") or config.hypervisor.move_timeout
    about = {"name": machine.name, "memory": machine.memory}
    ready = {"source": source.hostname, **target.detail}
    hand = {"target": target.hostname, "to": target.name, "within": within, **source.detail}
    steps = [
        Planned(READY, about | ready),
        Planned(HAND_OVER, about | hand),
        Planned(TAKE_OVER, about | target.detail),
    ]
    return Plan(machine.machine_id, steps, reserves=target.host_id)


def named_host(survey: Survey, name: str | None) -> Host | None:
    """The host of that name, if one is wanted; raises NotFound."""
    named = next((host for host in survey.hosts if host.name == name), None)
    if name is not None and named is None:
        raise NotFound(f"there is no host {name}", hint="machine hosts lists them.")
    if named in survey.left_out:
        raise NotAsked(f"{name} was not asked")
    return named


def _target(
    cursor: Cursor, survey: Survey, machine: Machine, ways: Ways, source: Host, named: Host | None
) -> Host:
    """The host that is named, or the best one; raises BadInput or NoRoom, which says why not."""
    if named == source:
        raise BadInput(f"{machine.name} runs on {source.name} already")
    others = {host.host_id: f"is not {named.name}" for host in survey.hosts if named and host != named}
    pools = set(machine.pools.values())
    try:
        return placement.choose(cursor, survey, machine.memory, ways.needs, pools, others | ways.barred)
    except NoRoom as error:
        if len(ways.barred) > 1:  # others than the source
            raise NoRoom(error.message, f"{error.hint}\n{movable.offer(machine.name)}") from error
        raise


KINDS = (
    Kind("migrate", "Move the guest to another host while it runs", _admit, (READY, HAND_OVER, TAKE_OVER),
         who="administrator"),
)  # fmt: skip
