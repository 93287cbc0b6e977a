"""Eject: a machine's CD is taken out, out of the drive of a running guest, too."""

from __future__ import annotations

from invirt.remote.operations.admission import lock_machine
from invirt.remote.operations.model import Detail, Kind, Operation, Plan, Request, Step, job
from invirt.remote.operations.power import FENCE, at_home
from invirt.remote.rows import Cursor
from invirt.remote.survey import Survey

OUT = "UPDATE machines SET cdrom_id = NULL WHERE machine_id = %s"


def _out(cursor: Cursor, operation: Operation, at: Detail) -> None:
    cursor.execute(OUT, (operation.machine_id,))


EJECT = Step(
    name="eject CD",
    words="taking the CD out of the drive of {name} on {host}",
    undo_words="making sure that {host} does nothing late: the CD may be out",
    do=job("domain", "eject"),
    undo=FENCE,
    record=_out,
    records="{name} has no CD",
    pivot=True,
)


def _admit(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    if machine.host_id is None:
        cursor.execute(OUT, (machine.machine_id,))
        return Plan(machine.machine_id, [])
    return at_home(machine, survey, [EJECT])


KINDS = (Kind("eject", "Take the CD out of a machine's drive", _admit, (EJECT,), asks=False),)
