"""A kind with a pivot amid its steps, and two reservations: a guest ends on one host, and boots on another.

The engine must be able to do it; migrate has no step that ends a guest.
"""

from __future__ import annotations

import pytest

from invirt.base.errors import Busy, NoRoom
from invirt.remote.operations import KINDS, STEPS
from invirt.remote.operations.admission import lock_machine
from invirt.remote.operations.model import Detail, Kind, Operation, Plan, Planned, Request, Step
from invirt.remote.operations.power import CREATE, DESTROY
from invirt.remote.placement import in_use, misses
from invirt.remote.rows import Cursor
from invirt.remote.survey import Survey


def _give_up_target(cursor: Cursor, operation: Operation, at: Detail) -> None:
    cursor.execute("DELETE FROM reservations WHERE operation_id = %s", (operation.operation_id,))


def _give_up_source(cursor: Cursor, operation: Operation, at: Detail) -> None:
    cursor.execute(
        "DELETE FROM reservations WHERE machine_id = %s AND operation_id IS DISTINCT FROM %s",
        (operation.machine_id, operation.operation_id),
    )


def _admit(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    if survey.home_state() != "running" or machine.host_id is None:
        raise Busy(f"{machine.name} is off")
    source = survey.host(machine.host_id)
    cursor.execute("SELECT FROM hosts ORDER BY host_id FOR NO KEY UPDATE")
    used = in_use(cursor)
    for host in survey.hosts:
        room = host.memory - used.get(host.host_id, 0)
        missed = misses(host, survey, (), set(machine.pools.values()))
        if host != source and not missed and room >= machine.memory:
            about = {"name": machine.name}
            steps = [
                Planned(ROOM, about | host.detail),
                Planned(END, about | source.detail),
                Planned(BOOT, about | host.detail),
            ]
            return Plan(machine.machine_id, steps, reserves=host.host_id)
    raise NoRoom("no other host has room")


ROOM = Step("reserve", "reserving memory on {host}", "giving it back", unreserve=_give_up_target)
END = Step(
    "end at source",
    "ending {name} on {host}",
    "booting {name} on {host} again",
    do=DESTROY,
    undo=CREATE,
    record=_give_up_source,
    records="{host} has nothing reserved for it any more",
    pivot=True,
)
BOOT = Step("boot at target", "booting {name} on {host}", "nothing: it can't be undone any more", do=CREATE)
MOVE = Kind("move", "End the guest here and boot it there", _admit, (ROOM, END, BOOT), who="control")


def install(patch: pytest.MonkeyPatch) -> None:
    """Let it be asked for."""
    patch.setitem(KINDS, MOVE.name, MOVE)
    for step in MOVE.steps:
        patch.setitem(STEPS, step.name, step)
