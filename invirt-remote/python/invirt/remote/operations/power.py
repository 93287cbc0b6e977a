"""Boot, shutdown, destroy: where a guest runs, and that it does."""

from __future__ import annotations

from collections.abc import Sequence

from invirt import config
from invirt.base.abilities import Can
from invirt.base.errors import Busy
from invirt.remote import nplusone, placement
from invirt.remote.answers import guest_state
from invirt.remote.operations.admission import Machine, lock_machine, release
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
from invirt.remote.rows import Cursor
from invirt.remote.survey import Host, Survey


def _fence(work: Work, at: Detail) -> None:
    """No older command, which may be on its way still, is obeyed any more."""
    work.call(at, "domain", "fence", at["name"], work.token)


def _shutdown(work: Work, at: Detail) -> None:
    work.call(at, "domain", "shutdown", at["name"], work.token)


def _is_off(work: Work, at: Detail) -> Detail | None:
    state = guest_state(at["hostname"], at["name"], work.call(at, "domain", "status", at["name"]))
    return {} if state == "off" else None


def _release(cursor: Cursor, operation: Operation, at: Detail) -> None:
    release(cursor, operation.machine_id)


FENCE = Action(_fence)
RELEASED = "nothing is reserved for {name} any more"
CREATE, DESTROY = job("domain", "create"), job("domain", "destroy", ends=True)
SHUTDOWN = Action(
    _shutdown,
    _is_off,
    "the guest is off",
    limit=lambda: config.remote.shutdown_timeout,
    late="{name} was asked to shut down, but is still running after {limit} seconds",
    hint="It may still do it; control {name} destroy ends it at once.",
    ends=True,
)

BOOT = Step(
    name="boot guest",
    words="booting {name} on {host}",
    undo_words="ending {name} on {host} and giving back its {memory} MiB",
    do=CREATE,
    undo=DESTROY,
    unreserve=_release,
)
SHUT_DOWN = Step(
    name="shut guest down",
    words="asking {name} on {host} to shut down",
    undo_words="making sure that {host} does nothing late: {name} may be running, its memory stays reserved",
    do=SHUTDOWN,
    undo=FENCE,
    record=_release,
    records=RELEASED,
    pivot=True,
)
DESTROY_GUEST = Step(
    name="destroy guest",
    words="ending {name} on {host} at once",
    undo_words="making sure that {host} does nothing late: {name} may be running, its memory stays reserved",
    do=DESTROY,
    undo=FENCE,
    record=_release,
    records=RELEASED,
    pivot=True,
)


def _admit_boot(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    state = survey.home_state()
    for host in survey.running_on:
        if state == "running":
            raise Busy(f"{machine.name} is already running on {host.name}")
        raise Busy(
            f"{machine.name} is running on {host.name}, where it is not expected",
            hint="An administrator has to look at it: invirt-reconcile.",
        )
    # A guest that powered itself off is placed anew: its old host may be full or disabled by now.
    release(cursor, machine.machine_id)
    host = placement.choose(cursor, survey, machine.memory, machine.needs, set(machine.pools.values()))
    boot = on_guest(BOOT, machine, host)
    boot.detail["why"] = placement.spoke_for(cursor, host, machine.memory)
    # What was wanted on comes back all the same.
    if request.actor.principal not in config.remote_principals and (
        broken := nplusone.check(cursor, machine.machine_id, machine.memory, machine.needs, host.host_id)
    ):
        boot.detail["warning"] = broken
    return Plan(machine.machine_id, [boot], reserves=host.host_id)


def placed(cursor: Cursor, machine: Machine, survey: Survey, need: Can) -> tuple[Host, str]:
    """Where a machine that is off boots what needs more than itself; and what N+1 says, "" if nothing."""
    needs = {*machine.needs, need}
    host = placement.choose(cursor, survey, machine.memory, needs, set(machine.pools.values()))
    broken = nplusone.check(cursor, machine.machine_id, machine.memory, machine.needs, host.host_id)
    return host, broken


def on_guest(step: Step, machine: Machine, host: Host) -> Planned:
    """The step, done to the machine's guest on the host."""
    return Planned(step, {"name": machine.name, "memory": machine.memory, **host.detail})


def at_home(machine: Machine, survey: Survey, steps: Sequence[Step]) -> Plan:
    """For what is done to a guest on the host that it runs on; raises Busy if it is off."""
    if machine.host_id is None:
        raise Busy(f"{machine.name} is off", hint=f"control {machine.name} create boots it.")
    host = survey.host(machine.host_id)
    return Plan(machine.machine_id, [on_guest(step, machine, host) for step in steps])


def _admit_off(cursor: Cursor, request: Request, survey: Survey, step: Step) -> Plan:
    """Its owner's word counts from now on, whatever becomes of the step: the database notes it."""
    machine = lock_machine(cursor, request, survey)
    if machine.wanted_on and machine.host_id is None:  # it was about to be booted again
        return Plan(machine.machine_id, [])
    return at_home(machine, survey, [step])


def _admit_shutdown(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    return _admit_off(cursor, request, survey, SHUT_DOWN)


def _admit_destroy(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    return _admit_off(cursor, request, survey, DESTROY_GUEST)


KINDS = (
    Kind("boot", "Boot the guest on the host with the least RAM in use", _admit_boot, (BOOT,),
         who="control"),
    Kind("shutdown", "Ask the guest to shut down, and wait until it is off", _admit_shutdown, (SHUT_DOWN,),
         asks=False, who="control"),
    Kind("destroy", "End the guest at once", _admit_destroy, (DESTROY_GUEST,), asks=False, who="control"),
)  # fmt: skip
