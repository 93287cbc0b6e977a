"""The verbs that change a machine: what `machine`, `control` and `web` share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from invirt import config
from invirt.base import validate
from invirt.base.errors import BadInput, NotFound
from invirt.remote import access, listing, states, undelete
from invirt.remote.actor import Actor
from invirt.remote.session import transaction
from invirt.remote.submission import submit
from invirt.remote.verbs import Verb, name_only

if TYPE_CHECKING:
    from invirt.remote.operations import Operation


def memory(text: str) -> int:
    """An amount of memory for one machine, in MiB; raises BadInput."""
    return validate.mebibytes(text, config.machines.min_memory, config.machines.max_memory)


def disk_size(text: str) -> int:
    """The size of one disk, in GiB; raises BadInput."""
    return validate.gibibytes(text, 1, config.machines.max_disk)


def cpus(text: str) -> int:
    """How many CPUs one machine has; raises BadInput."""
    return validate.count(text, 1, config.machines.max_cpus)


def request_key(text: str) -> str:
    """What tells a repeated request from a second one; raises BadInput."""
    if not (1 <= len(text) <= 200 and text.isascii() and text.isprintable()):
        raise BadInput("that is not a key", hint="Accepted: 1 to 200 printable ASCII letters.")
    return text


def disk_and_size(text: str) -> tuple[str, int]:
    """[DISK=]GIB: a disk, hda if not named, and its size in GiB; raises BadInput."""
    name, equals, size = text.rpartition("=")
    return validate.disk_name(name) if equals else "hda", disk_size(size)


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    name_only(parser)
    add = parser.add_argument
    add("--memory", metavar="MIB", type=memory, help="memory in MiB")
    add("--disk", metavar="GIB", type=disk_size, help="size of its disk hda in GiB")
    add("--cpus", metavar="N", type=cpus, help="how many CPUs")
    add("--type", metavar="TYPE", type=validate.machine_name, help="the type of machine")
    add("--owner", metavar="OWNER", type=validate.owner_name, help="whose quota it counts to")
    add("--description", metavar="TEXT", type=validate.description, help="a line about it")
    add("--key", metavar="KEY", type=request_key, help="the same key again is the same request, not a second")


def create(actor: Actor, arguments: argparse.Namespace) -> None:
    """Make a machine: its row, address and disk.  It is off."""
    names = ("memory", "disk", "cpus", "type", "owner", "description")
    wanted = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    done = submit("create", actor, arguments.name, wanted, arguments.key)
    with transaction() as cursor:
        print(made(cursor, actor, done), end="")


def made(cursor: Any, actor: Actor, operation: Operation) -> str:
    """The machine that an operation made, if actor may see it still; raises NotFound.

    By its number: since then, another's machine may have got the name.
    """
    try:
        row = access.require_number(cursor, actor.principal, operation.machine_id)
    except NotFound as error:
        done = f"{operation.machine_name} was made by operation {operation.operation_id}"
        raise NotFound(f"{done}, but {error.message}", error.hint) from error
    return known(cursor, row)


def known(cursor: Any, row: Any) -> str:
    """What the database knows of a machine that is off, a line each."""
    return listing.machine_facts(states.describe(cursor, [row])[0])


def _owned(actor: Actor, name: str) -> None:
    """Raises NotFound or Denied unless actor is a member of the machine's owner.

    The operation's admission asks again; this is before hosts are asked.
    """
    with transaction() as cursor:
        access.require_owner(cursor, actor.principal, name)


def _resize_arguments(parser: argparse.ArgumentParser) -> None:
    name_only(parser)
    parser.add_argument("--memory", metavar="MIB", type=memory, help="memory in MiB")
    parser.add_argument("--cpus", metavar="N", type=cpus, help="how many CPUs")
    parser.add_argument(
        "--disk",
        metavar="[DISK=]GIB",
        type=disk_and_size,
        action="append",
        default=[],
        help="a disk (hda) and its new size in GiB; disks only grow",
    )


def resize(actor: Actor, arguments: argparse.Namespace) -> None:
    """Change memory, CPUs and disks; the machine has to be off."""
    sizes = dict(arguments.disk)
    if len(sizes) < len(arguments.disk):
        raise BadInput("a disk is named twice")
    wanted: dict[str, Any] = {"memory": arguments.memory, "cpus": arguments.cpus, "disks": sizes}
    wanted = {key: value for key, value in wanted.items() if value}
    if not wanted:
        raise BadInput("nothing to change", hint="Give --memory, --cpus or --disk.")
    _owned(actor, arguments.name)
    submit("resize", actor, arguments.name, wanted)
    print(f"{arguments.name} is resized; it counts from the next boot on")


def _set_arguments(parser: argparse.ArgumentParser) -> None:
    name_only(parser)
    parser.add_argument(
        "--autostart",
        choices=("yes", "no"),
        required=True,
        help="whether it is booted again after a crash of its guest or host (a new machine: yes)",
    )


def set_(actor: Actor, arguments: argparse.Namespace) -> None:
    """Change a setting of a machine, from now on."""
    with transaction() as cursor:
        row = access.require_owner(cursor, actor.principal, arguments.name)
        cursor.execute(
            "UPDATE machines SET autostart = %s WHERE machine_id = %s",
            (arguments.autostart == "yes", row.machine_id),
        )
    print(f"{arguments.name} has autostart {arguments.autostart}")


def _rename_arguments(parser: argparse.ArgumentParser) -> None:
    name_only(parser)
    parser.add_argument("new", metavar="NEW", type=validate.machine_name, help="its new name")


def rename(actor: Actor, arguments: argparse.Namespace) -> None:
    """Give a machine another name; it has to be off."""
    _owned(actor, arguments.name)
    submit("rename", actor, arguments.name, {"name": arguments.new})
    print(f"{arguments.name} is now {arguments.new}")


def _principal_arguments(parser: argparse.ArgumentParser) -> None:
    name_only(parser)
    parser.add_argument(
        "principal", metavar="PRINCIPAL", type=access.full_principal, help="whom; bob is bob@ your realm"
    )


def allow(actor: Actor, arguments: argparse.Namespace) -> None:
    """Let a principal control the machine, from the next call on."""
    with transaction() as cursor:
        access.allow(cursor, actor.principal, arguments.name, arguments.principal)
    print(f"{arguments.principal} may control {arguments.name}")


def disallow(actor: Actor, arguments: argparse.Namespace) -> None:
    """Take that back, from the next call on."""
    with transaction() as cursor:
        access.disallow(cursor, actor.principal, arguments.name, arguments.principal)
    print(f"{arguments.principal} may no longer control {arguments.name}")


def _delete_arguments(parser: argparse.ArgumentParser) -> None:
    name_only(parser)
    parser.add_argument("--yes", action="store_true", help="really")


def delete(actor: Actor, arguments: argparse.Namespace) -> None:
    """Move a machine and its disks to the trash; without --yes, say what would be lost."""
    with transaction() as cursor:
        about = known(cursor, access.require_owner(cursor, actor.principal, arguments.name))
    if not arguments.yes:
        print(f"This would be lost:\n{about}", end="")
        raise BadInput(f"{arguments.name} is not deleted", hint="Say so again with --yes.")
    submit("delete", actor, arguments.name)
    days = config.storage.trash_days
    print(f"{arguments.name} is in the trash for {days} days: machine undelete gives it back, purge ends it")


def _disk_arguments(parser: argparse.ArgumentParser) -> None:
    name_only(parser)
    parser.add_argument("disk", metavar="DISK", type=validate.disk_name, help="hda to hdz")


def _disk_size_arguments(parser: argparse.ArgumentParser) -> None:
    _disk_arguments(parser)
    parser.add_argument("size", metavar="GIB", type=disk_size, help="its size in GiB")


def _disk_rename_arguments(parser: argparse.ArgumentParser) -> None:
    _disk_arguments(parser)
    parser.add_argument("new_disk", metavar="NEWDISK", type=validate.disk_name, help="its new name")


def _disk_verb(kind: str, *, size: bool = False, new_disk: bool = False) -> Any:
    """What does an operation of a single disk."""

    def run(actor: Actor, arguments: argparse.Namespace) -> None:
        wanted = {"disk": arguments.disk}
        wanted |= {"size": arguments.size} if size else {}
        wanted |= {"name": arguments.new_disk} if new_disk else {}
        _owned(actor, arguments.name)
        submit(kind, actor, arguments.name, wanted)
        print(f"{arguments.name}: {kind} of {arguments.disk} done")

    return run


def _verb(name: str, summary: str, run: Any, arguments: Any = name_only) -> Verb:
    return Verb(name, summary, run, arguments, changes=True)


MACHINE = (
    _verb("create", "make a machine, off", create, _create_arguments),
    *listing.VERBS,
    _verb("resize", "change memory, CPUs or disks of a machine that is off", resize, _resize_arguments),
    _verb("set", "say whether a machine is booted again after a crash", set_, _set_arguments),
    _verb("rename", "give a machine that is off another name", rename, _rename_arguments),
    _verb("allow", "let a principal control a machine", allow, _principal_arguments),
    _verb("disallow", "take that back", disallow, _principal_arguments),
    _verb("delete", "put a machine that is off into the trash", delete, _delete_arguments),
    *undelete.VERBS,
)
DISKS = (
    _verb("lvcreate", "add a disk", _disk_verb("disk-create", size=True), _disk_size_arguments),
    _verb("lvresize", "make a disk larger", _disk_verb("disk-resize", size=True), _disk_size_arguments),
    _verb("lvrename", "rename a disk", _disk_verb("disk-rename", new_disk=True), _disk_rename_arguments),
    _verb("lvremove", "remove a disk", _disk_verb("disk-remove"), _disk_arguments),
)
