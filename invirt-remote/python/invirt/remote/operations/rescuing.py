"""Rescue: the guest boots a system that its host brings, with the machine's disks; reboot, which ends that.

A word of the reservation says so: it goes with that, however the guest ends.  The pivot of a reboot that
ends a rescue is where the rescue system is off; from then on the machine boots its own.
"""

from __future__ import annotations

from dataclasses import replace

from invirt.base.abilities import Can
from invirt.remote.operations.admission import Machine, lock_machine, must_be_off
from invirt.remote.operations.model import Detail, Kind, Operation, Plan, Request, Step, job
from invirt.remote.operations.power import BOOT, CREATE, DESTROY_GUEST, FENCE, at_home, on_guest, placed
from invirt.remote.rows import Cursor
from invirt.remote.survey import Survey

IN_RESCUE = "SELECT FROM reservations WHERE machine_id = %s AND rescue"
OVER = "UPDATE reservations SET rescue = false WHERE machine_id = %s"


def _over(cursor: Cursor, operation: Operation, at: Detail) -> None:
    cursor.execute(OVER, (operation.machine_id,))


BOOT_RESCUE = replace(BOOT, name="boot rescue", words="booting the rescue system for {name} on {host}")
REBOOT = Step(
    name="reboot guest",
    words="rebooting {name} on {host}",
    undo_words="making sure that {host} does nothing late: {name} stays where it is",
    do=job("domain", "reboot"),
    undo=FENCE,
)
END_RESCUE = replace(
    DESTROY_GUEST,
    name="end rescue",
    words="ending the rescue system of {name} on {host}",
    undo_words="booting the rescue system of {name} on {host} again, if it was ended",
    undo=CREATE,
    record=_over,
    records="{name} boots its own system again",
)
BOOT_AGAIN = Step(
    name="boot again",
    words="booting {name} on {host}",
    undo_words="nothing: it can't be undone any more",
    do=CREATE,
)


def _admit_rescue(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    must_be_off(cursor, machine, survey)
    host, broken = placed(cursor, machine, survey, Can.RESCUE)
    boot = on_guest(BOOT_RESCUE, machine, host)
    if broken:
        boot.detail["warning"] = broken
    return Plan(machine.machine_id, [boot], reserves=host.host_id, rescue=True)


def _admit_reboot(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    ends = (END_RESCUE, BOOT_AGAIN) if _in_rescue(cursor, machine) else (REBOOT,)
    return at_home(machine, survey, ends)


def _in_rescue(cursor: Cursor, machine: Machine) -> bool:
    cursor.execute(IN_RESCUE, (machine.machine_id,))
    return cursor.fetchone() is not None


KINDS = (
    Kind("rescue", "Boot the rescue system, with the machine's disks", _admit_rescue, (BOOT_RESCUE,)),
    Kind("reboot", "Ask the guest to reboot, or end its rescue", _admit_reboot,
         (REBOOT, END_RESCUE, BOOT_AGAIN), asks=False, who="control"),
)  # fmt: skip
