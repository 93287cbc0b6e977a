"""Moving a volume that belongs to no machine to the trash: for invirt-reconcile."""

from __future__ import annotations

from invirt.base.errors import BadInput
from invirt.remote.operations import steps
from invirt.remote.operations.admission import lock_machine, lock_name, wanted
from invirt.remote.operations.model import Kind, Plan, Request
from invirt.remote.rows import Cursor
from invirt.remote.survey import Seen, Survey


def _admit(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    """machine_name is that of the volume; there may be a machine of that name, or none."""
    name, disk = request.machine_name, wanted(request.arguments, "disk", str)
    machine_id = None
    if survey.seen == Seen():
        lock_name(cursor, name)
    else:
        machine = lock_machine(cursor, request, survey)
        machine_id = machine.machine_id
        if disk in machine.disks:
            raise BadInput(f"disk {disk} of {name} belongs to a machine")
    host = survey.volume_host(name)
    return Plan(machine_id, [steps.on_volume(steps.REMOVE_VOLUME, host, name, disk)])


KINDS = (
    Kind("volume-trash", "Move a volume that belongs to no machine to the trash", _admit,
         (steps.REMOVE_VOLUME,), who="administrator"),
)  # fmt: skip
