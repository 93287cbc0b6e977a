"""`control NAME install`: a system on a machine's disk, put there by an installer in the guest itself."""

from __future__ import annotations

import secrets
from typing import Any

from invirt.base import validate
from invirt.base.cli import Flag, Found, Option, Table, Verb, Who, say
from invirt.base.errors import BadInput, NotFound
from invirt.base.names import MachineName
from invirt.base.process import run
from invirt.remote import access, states, submission
from invirt.remote.actor import Actor
from invirt.remote.session import transaction
from invirt.remote.verbs import YES, waitable

SYSTEMS = "SELECT name::text AS name, description, memory, disk FROM autoinstalls ORDER BY name"


def host_keys(cursor: Any, machine_id: int) -> dict[str, str]:
    """By what ssh knows the machine: fingerprints by kind, as its installer told them."""
    cursor.execute(
        "SELECT kind, fingerprint FROM host_keys WHERE machine_id = %s ORDER BY kind", (machine_id,)
    )
    return {row.kind: row.fingerprint for row in cursor.fetchall()}


def systems(actor: Actor) -> list[dict[str, Any]]:
    """What can be installed; memory in MiB, disk in GiB."""
    with transaction() as cursor:
        cursor.execute(SYSTEMS)
        return [row._asdict() for row in cursor.fetchall()]


def install(actor: Actor, name: MachineName, autoinstall: str, yes: bool) -> Any:
    """Put a system on the machine's disk, and boot it.  root's password is said once, and not kept."""
    asked_before = f"{name} has {autoinstall}; its password was said when this was asked for first"
    if submission.before(actor):
        submission.submit("install", actor, name, {"autoinstall": autoinstall})
        return asked_before
    with transaction() as cursor:
        row = access.require_owner(cursor, actor.principal, name)
        if autoinstall not in _names(cursor):
            raise NotFound(f"there is no {autoinstall} to be installed", hint=_hint(cursor))
        (machine,) = states.describe(cursor, [row])
    if not yes:
        say(f"All that is on disk hda of {name} would be lost ({machine['disks'].get('hda', 0)} GiB).")
        raise BadInput(f"{name} is left as it is", hint="Say so again with --yes.")
    password = secrets.token_urlsafe(12)
    secret = run(["openssl", "passwd", "-6", "-stdin"], input=password).stdout.strip()
    told = iter([f"root's password, should this call be cut off: {password}"])
    try:
        done = submission.submit("install", actor, name, {"autoinstall": autoinstall}, secret, told)
    except submission.Begun as begun:
        return Found({"operation": begun.number, "password": password}, shown=_in_words)
    if any(told):  # it came in twice at once: the other's password counts
        return asked_before
    found = {"name": name, "system": autoinstall, "password": password}
    return Found(found, submission.warnings(done), shown=_in_words)


def _in_words(found: Any) -> str:
    what = (
        f"operation {found['operation']}"
        if "operation" in found
        else f"{found['name']} has {found['system']}"
    )
    return f"{what}\nroot's password, which is said once: {found['password']}\n"


def _names(cursor: Any) -> list[str]:
    cursor.execute(SYSTEMS)
    return [row.name for row in cursor.fetchall()]


def _hint(cursor: Any) -> str:
    return f"Those there are: {', '.join(_names(cursor)) or 'none: an administrator adds one'}."


AUTOINSTALL = Option(
    "autoinstall", "what: see machine systems", validate.machine_name, "SYSTEM", required=True,
    sample="debian-12",
)  # fmt: skip
INSTALL = waitable(
    Verb(
        "install", "put a system on its disk, and boot it; what is on the disk is lost", install,
        (AUTOINSTALL, Flag("yes", YES)), who=Who.OWNER, changes=True, example="--autoinstall debian-12 --yes",
    )
)  # fmt: skip
LIST = Verb(
    "systems", "what can be installed on a machine", systems, who=Who.ANYONE,
    shown=Table(
        {
            "NAME": "name",
            "MEMORY": lambda one: f"{one['memory']} MiB",
            "DISK": lambda one: f"{one['disk']} GiB",
            "DESCRIPTION": "description",
        },
        empty="There are none; an administrator adds one.",
    ),
)  # fmt: skip
