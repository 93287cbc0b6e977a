"""Install: an installer, in the guest itself, puts a system on the machine's disk; then that is booted.

The pivot is where the installer has said that it is done.  Before it the guest is ended, and what
it had begun to overwrite is no system any more; after it the machine boots from its disk.
"""

from __future__ import annotations

import json
from typing import Any

from invirt.base.abilities import Can
from invirt.base.errors import BadInput, CommandFailed, NotFound
from invirt.remote.answers import Installing, installing
from invirt.remote.operations.admission import Machine, lock_machine, must_be_off, release, wanted
from invirt.remote.operations.model import Action, Detail, Kind, Operation, Plan, Planned, Request, Step, Work
from invirt.remote.operations.power import CREATE, DESTROY, placed
from invirt.remote.operations.surviving import Lost
from invirt.remote.rows import Cursor
from invirt.remote.survey import Survey

LONGEST = 3600  # seconds that an installer may take
SELDOM = 4.0  # times as long as usual between two questions: a class may install at once, for minutes
TOUCHES = 5  # percent from which on nothing of what was on the disk is left

SYSTEM = "SELECT autoinstall_id, name::text AS name, memory, disk FROM autoinstalls WHERE name = %s"
# Keys of those whose machine it is.
BEGIN = """
INSERT INTO installs (machine_id, autoinstall_id, password, keys)
    VALUES (%(machine)s, %(system)s, %(password)s, ARRAY(
        SELECT DISTINCT key FROM public_keys JOIN access USING (principal)
        WHERE machine_id = %(machine)s AND role = 'owner' ORDER BY key))
"""
HALF = "UPDATE machines SET system = %s, installed_at = NULL WHERE machine_id = %s"
WHOLE = "UPDATE machines SET system = %s, installed_at = now() WHERE machine_id = %s"
FORGET_KEYS = "DELETE FROM host_keys WHERE machine_id = %s"
KEYS = "INSERT INTO host_keys (machine_id, kind, fingerprint) SELECT %s, key, value FROM jsonb_each_text(%s)"


def _how_far(work: Work, at: Detail) -> Installing:
    return installing(at["hostname"], at["name"], work.call(at, "domain", "installed", at["name"]))


def _ask(work: Work, at: Detail) -> Detail | None:
    """What the installer has found out when it is done; raises why it is not, and won't be."""
    found = _how_far(work, at)
    if found.failed:
        raise CommandFailed(
            f"{at['system']} could not be installed: {found.failed}",
            hint=f"Mend that, and say so again. All that it said: ssh {at['name']}@ the consoles.",
        )
    if found.running:
        work.tell({"progress": f"{found.percent} %, {found.words}"})
        return None
    if found.percent < 100:
        raise CommandFailed(f"the installer was ended at {found.percent} % ({found.words})")
    return {"keys": found.keys}


def _look(work: Work, at: Detail) -> Detail:
    """Whether it had begun to write to the disk; where nobody knows, it had."""
    try:
        return {"touched": _how_far(work, at).percent >= TOUCHES}
    except Lost:
        return {"touched": True}


def _give_up(cursor: Cursor, operation: Operation, at: Detail) -> None:
    release(cursor, operation.machine_id)
    cursor.execute("DELETE FROM installs WHERE machine_id = %s", (operation.machine_id,))


def _half(cursor: Cursor, operation: Operation, at: Detail) -> None:
    if at.get("touched"):
        cursor.execute(HALF, (at["system"], operation.machine_id))


def _whole(cursor: Cursor, operation: Operation, at: Detail) -> None:
    cursor.execute("DELETE FROM installs WHERE machine_id = %s", (operation.machine_id,))
    cursor.execute(WHOLE, (at["system"], operation.machine_id))
    cursor.execute(FORGET_KEYS, (operation.machine_id,))
    cursor.execute(KEYS, (operation.machine_id, json.dumps(at.get("keys", {}))))


START = Step(
    name="boot installer",
    words="booting the installer of {system} for {name} on {host}",
    undo_words="ending the installer of {name} on {host} and giving back its {memory} MiB",
    do=CREATE,
    undo=DESTROY,
    unreserve=_give_up,
)
INSTALL = Step(
    name="install system",
    words="installing {system} on {name} ({progress})",
    undo_words="looking whether anything was written to the disk of {name}",
    do=Action(_ask, _ask, "{system} is installed", limit=lambda: LONGEST, pause=SELDOM),
    undo=Action(_look),
    unreserve=_half,
    record=_whole,
    records="{name} has {system}, and boots from its disk",
    pivot=True,
    once=True,
)
FIRST_BOOT = Step(
    name="boot system",
    words="booting {system} of {name} on {host}",
    undo_words="nothing: it can't be undone any more",
    do=CREATE,
)


def _admit(cursor: Cursor, request: Request, survey: Survey) -> Plan:
    machine = lock_machine(cursor, request, survey)
    must_be_off(cursor, machine, survey)
    system = _system(cursor, machine, wanted(request.arguments, "autoinstall", str))
    host, broken = placed(cursor, machine, survey, Can.INSTALL)
    cursor.execute(
        BEGIN,
        {"machine": machine.machine_id, "system": system.autoinstall_id, "password": request.secret},
    )
    about = {"name": machine.name, "memory": machine.memory, "system": system.name, "progress": "0 %"}
    steps = [Planned(step, about | host.detail) for step in (START, INSTALL, FIRST_BOOT)]
    if broken:
        steps[0].detail["warning"] = broken
    return Plan(machine.machine_id, steps, reserves=host.host_id)


def _system(cursor: Cursor, machine: Machine, name: str) -> Any:
    """The row of what is to be installed; raises NotFound, or BadInput if the machine is too small for it."""
    cursor.execute(SYSTEM, (name,))
    system = cursor.fetchone()
    if system is None:
        raise NotFound(f"there is no {name} to be installed", hint="Those there are: machine systems.")
    if machine.memory < system.memory:
        raise BadInput(
            f"{machine.name} has {machine.memory} MiB of memory: {name} wants {system.memory}",
            hint=f"machine resize {machine.name} --memory {system.memory}M",
        )
    if machine.disks.get("hda", 0) < system.disk:
        raise BadInput(
            f"disk hda of {machine.name} has {machine.disks.get('hda', 0)} GiB: {name} wants {system.disk}",
            hint=f"machine resize {machine.name} --disk hda={system.disk}G",
        )
    return system


KINDS = (
    Kind("install", "Put a system on the machine's disk, and boot it", _admit, (START, INSTALL, FIRST_BOOT)),
)
