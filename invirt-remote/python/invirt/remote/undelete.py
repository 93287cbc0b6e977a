"""The verbs of the trash: what lies there, giving it back, ending it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from invirt.base import validate
from invirt.base.cli import Argument, Flag, Option, Table, Verb, Who
from invirt.base.errors import BadInput, NotFound
from invirt.base.names import MachineName
from invirt.remote import access, trash
from invirt.remote.actor import Actor
from invirt.remote.session import transaction
from invirt.remote.submission import submit
from invirt.remote.trash import Trashed
from invirt.remote.verbs import YES, waitable


def show(actor: Actor) -> list[dict[str, Any]]:
    """What the actor's owners have in the trash."""
    with transaction() as cursor:
        return [_row(one) for one in trash.mine(cursor, actor.principal)]


def _row(one: Trashed) -> dict[str, Any]:
    return {
        "number": one.trash_id,
        "name": one.name,
        "owner": one.owner,
        "machine": one.machine is not None,
        "disks": {disk: found.size for disk, found in one.disks.items()},
        "size": one.size,
        "deleted_at": one.deleted_at.isoformat(timespec="seconds"),
        "ends_at": one.ends_at.isoformat(timespec="seconds"),
    }


def _what(machine: bool, disks: Iterable[str]) -> str:
    shown = ", ".join(disks)
    return f"machine, {shown or 'no disk'}" if machine else f"disk {shown or 'no disk'}"


def _minute(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda one: str(one[key])[:16].replace("T", " ")


TRASH = Table(
    {
        "NUMBER": "number",
        "NAME": "name",
        "OWNER": "owner",
        "WHAT": lambda one: _what(one["machine"], one["disks"]),
        "GIB": "size",
        "DELETED": _minute("deleted_at"),
        "ENDS": _minute("ends_at"),
    },
    empty="There is nothing in your trash.",
)


def undelete(actor: Actor, name: MachineName, disk: str | None, new: MachineName | None) -> str:
    """Give a machine, or a disk, back."""
    with transaction() as cursor:
        found = trash.find(cursor, actor.principal, name, disk)
        home = new or (found.name if found.machine else _home(cursor, actor, found))
        if not found.machine:
            access.require_owner(cursor, actor.principal, home)
    submit("undelete" if found.machine else "disk-undelete", actor, home, {"trash": found.trash_id})
    what = f"{home} is" if found.machine else f"{', '.join(found.disks)} of {home} is"
    return f"{what} back"


def _home(cursor: Any, actor: Actor, found: Trashed) -> MachineName:
    """The name that the machine of a single disk has now; raises NotFound."""
    try:
        return MachineName(access.require_number(cursor, actor.principal, found.machine_id).name)
    except NotFound as error:
        hint = "Give the disk to another machine of yours with --name."
        raise NotFound(f"{found.name}, which had the disk, is gone", hint) from error


def purge(actor: Actor, name: MachineName, disk: str | None, yes: bool) -> str:
    """End something in the trash for good; without --yes, say what would be lost."""
    with transaction() as cursor:
        found = trash.find(cursor, actor.principal, name, disk)
    about = f"{found.name} ({_what(found.machine is not None, found.disks)}: {found.size} GiB)"
    if not yes:
        raise BadInput(f"{about} would be lost for good: it is not ended", hint="Say so again with --yes.")
    submit("purge", actor, found.name, {"trash": found.trash_id})
    return f"{about} has ended, and counts to no quota any more"


WHAT = (
    # A number is of a name's form, too.
    Argument("name", "as machine trash has it", validate.machine_name, "NAME|NUMBER", sample="remus"),
    Option("disk", "a single disk of that machine, hda to hdz", validate.disk_name, "DISK", sample="hdb"),
)
NEW = Option(
    "new",
    "another name for the machine; with a disk, another machine that gets it",
    validate.machine_name,
    "NEW",
    spelled="--name",
    sample="romulus",
)
VERBS = (
    Verb("trash", "what you deleted, what space it takes, and when it ends", show, who=Who.ANYONE,
         shown=TRASH),
    waitable(Verb("undelete", "give back a machine, or a disk, that you deleted", undelete, (*WHAT, NEW),
                  who=Who.OWNER, changes=True)),
    waitable(Verb("purge", "end what you deleted at once, for good", purge, (*WHAT, Flag("yes", YES)),
                  who=Who.OWNER, changes=True, example="remus --yes")),
)  # fmt: skip
