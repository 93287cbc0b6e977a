"""CDs: which there are, which is in a machine's drive, and how it gets in and out."""

from __future__ import annotations

from typing import Any

from invirt.base import validate
from invirt.base.cli import Argument, Option, Table, Verb, Who
from invirt.base.errors import BadInput, NotFound
from invirt.base.names import MachineName
from invirt.remote import access
from invirt.remote.actor import Actor
from invirt.remote.session import transaction
from invirt.remote.submission import submit
from invirt.remote.verbs import NAME, waitable

CDROMS = "SELECT name::text AS name, description FROM cdroms ORDER BY name"
INSERT = """
UPDATE machines m SET cdrom_id = c.cdrom_id, boots_cdrom = %(first)s FROM cdroms c
    WHERE machine_id = %(machine)s AND c.name = %(cdrom)s
"""
# Others have a kernel that their host brings, which looks for no CD.
BOOTS = """
SELECT virt = 'hvm' OR installed_at IS NOT NULL AS so FROM machines JOIN types USING (type_id)
    WHERE machine_id = %s
"""


def cdroms(actor: Actor) -> list[dict[str, Any]]:
    """All that there are."""
    with transaction() as cursor:
        cursor.execute(CDROMS)
        return [row._asdict() for row in cursor.fetchall()]


def insert(actor: Actor, name: MachineName, cdrom: str, boot: str | None) -> str:
    """Put a CD into the machine's drive, in place of the one that may be there, from its next boot on."""
    with transaction() as cursor:
        row = access.require_owner(cursor, actor.principal, name)
        cursor.execute(BOOTS, (row.machine_id,))
        if not cursor.fetchone().so:
            raise BadInput(
                f"{name} is of the type {row.type}, which has no CD drive",
                hint="A machine of a type of virt hvm has one; machine create --type TYPE makes it.",
            )
        first = boot != "disk"
        cursor.execute(INSERT, {"machine": row.machine_id, "cdrom": cdrom, "first": first})
        if cursor.rowcount == 0:
            raise NotFound(f"there is no CD {cdrom}", hint="Those there are: machine cdroms.")
    return f"{name} has {cdrom} in its drive from its next boot on{', and boots from it' if first else ''}"


def eject(actor: Actor, name: MachineName) -> str:
    """Take the CD out, at once."""
    with transaction() as cursor:
        access.require_owner(cursor, actor.principal, name)
    submit("eject", actor, name)
    return f"{name} has no CD in its drive"


CDROM = Argument(
    "cdrom", "which: see machine cdroms", validate.machine_name, "CDROM", sample="debian-netinst"
)
BOOT = Option("boot", "what is booted first (default: the CD)", choices=("cdrom", "disk"))
VERBS = (
    Verb(
        "cdroms", "CDs that can be put into a machine's drive", cdroms, who=Who.ANYONE,
        shown=Table(empty="There are none; an administrator adds one."),
    ),
    Verb(
        "insert", "put a CD into a machine's drive, from its next boot on", insert, (NAME, CDROM, BOOT),
        who=Who.OWNER, changes=True,
    ),
    waitable(
        Verb("eject", "take the CD out of a machine's drive, also of one that runs", eject, (NAME,),
             who=Who.OWNER, changes=True)
    ),
)  # fmt: skip
