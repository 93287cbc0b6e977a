"""The verbs of the trash: what lies there, giving it back, ending it at once."""

from __future__ import annotations

import argparse
from typing import Any

from invirt.base import validate
from invirt.base.errors import BadInput, NotFound
from invirt.base.tables import as_json, table
from invirt.remote import access, trash
from invirt.remote.actor import Actor
from invirt.remote.listing import json_option
from invirt.remote.session import transaction
from invirt.remote.submission import submit
from invirt.remote.trash import Trashed
from invirt.remote.verbs import Verb


def show(actor: Actor, arguments: argparse.Namespace) -> None:
    """Print what the actor's owners have in the trash."""
    with transaction() as cursor:
        found = trash.mine(cursor, actor.principal)
    if arguments.json:
        print(as_json([_row(one) for one in found]), end="")
    elif not found:
        print("There is nothing in your trash.")
    else:
        headings = ("NUMBER", "NAME", "OWNER", "WHAT", "GIB", "DELETED", "ENDS")
        rows = [
            (one.trash_id, one.name, one.owner, _what(one), one.size, _minute(one.deleted_at),
             _minute(one.ends_at))
            for one in found
        ]  # fmt: skip
        print(table(headings, rows), end="")


def _row(one: Trashed) -> dict[str, Any]:
    return {
        "number": one.trash_id,
        "name": one.name,
        "owner": one.owner,
        "machine": one.machine is not None,
        "disks": {disk: size for disk, (size, _) in one.disks.items()},
        "size": one.size,
        "deleted_at": one.deleted_at.isoformat(timespec="seconds"),
        "ends_at": one.ends_at.isoformat(timespec="seconds"),
    }


def _what(one: Trashed) -> str:
    disks = ", ".join(one.disks) or "no disk"
    return f"machine, {disks}" if one.machine is not None else f"disk {disks}"


def _minute(when: Any) -> str:
    return f"{when:%Y-%m-%d %H:%M}"


def _what_argument(parser: argparse.ArgumentParser) -> None:
    # A number is of a name's form, too.
    parser.add_argument(
        "name", metavar="NAME|NUMBER", type=validate.machine_name, help="as machine trash has it"
    )
    parser.add_argument(
        "--disk", metavar="DISK", type=validate.disk_name, help="a single disk of that machine, hda to hdz"
    )


def _undelete_arguments(parser: argparse.ArgumentParser) -> None:
    _what_argument(parser)
    parser.add_argument(
        "--name",
        dest="new",
        metavar="NEW",
        type=validate.machine_name,
        help="another name for the machine; with a disk, another machine that gets it",
    )


def undelete(actor: Actor, arguments: argparse.Namespace) -> None:
    """Give a machine, or a disk, back."""
    with transaction() as cursor:
        found = trash.find(cursor, actor.principal, arguments.name, arguments.disk)
        name = arguments.new or (found.name if found.machine else _home(cursor, actor, found))
        if not found.machine:
            access.require_owner(cursor, actor.principal, name)
    submit("undelete" if found.machine else "disk-undelete", actor, name, {"trash": found.trash_id})
    what = f"{name} is" if found.machine else f"{', '.join(found.disks)} of {name} is"
    print(f"{what} back")


def _home(cursor: Any, actor: Actor, found: Trashed) -> str:
    """The name that the machine of a single disk has now; raises NotFound."""
    try:
        return str(access.require_number(cursor, actor.principal, found.machine_id).name)
    except NotFound as error:
        hint = "Give the disk to another machine of yours with --name."
        raise NotFound(f"{found.name}, which had the disk, is gone", hint) from error


def _purge_arguments(parser: argparse.ArgumentParser) -> None:
    _what_argument(parser)
    parser.add_argument("--yes", action="store_true", help="really")


def purge(actor: Actor, arguments: argparse.Namespace) -> None:
    """End something in the trash for good; without --yes, say what would be lost."""
    with transaction() as cursor:
        found = trash.find(cursor, actor.principal, arguments.name, arguments.disk)
    about = f"{found.name} ({_what(found)}: {found.size} GiB)"
    if not arguments.yes:
        raise BadInput(f"{about} would be lost for good: it is not ended", hint="Say so again with --yes.")
    submit("purge", actor, found.name, {"trash": found.trash_id})
    print(f"{about} has ended, and counts to no quota any more")


VERBS = (
    Verb("trash", "what you deleted, what space it takes, and when it ends", show, json_option),
    Verb("undelete", "give back a machine, or a disk, that you deleted", undelete, _undelete_arguments,
         changes=True),
    Verb("purge", "end what you deleted at once, for good", purge, _purge_arguments, changes=True),
)  # fmt: skip
