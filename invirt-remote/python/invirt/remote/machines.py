"""The verbs that change a machine: what `machine`, `control` and `web` share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from invirt import config
from invirt.base import validate
from invirt.base.cli import Argument, Flag, Option, Verb, Who, say
from invirt.base.errors import BadInput, NotFound
from invirt.base.names import MachineName
from invirt.remote import (
    access,
    apart,
    cdroms,
    explain,
    groups,
    handing,
    installs,
    keys,
    limits,
    listing,
    looks,
    requests,
    states,
    submission,
    tokens,
    undelete,
)
from invirt.remote.actor import Actor
from invirt.remote.session import transaction
from invirt.remote.submission import submit
from invirt.remote.usage import USAGE
from invirt.remote.verbs import NAME, YES, waitable

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


def priority(text: str) -> int:
    """How soon a machine comes back among others; raises BadInput."""
    return validate.count(text, 0, 9)


def disk_and_size(text: str) -> tuple[str, int]:
    """[DISK=]SIZE: a disk, hda if not named, and its size in GiB; raises BadInput."""
    name, equals, size = text.rpartition("=")
    return validate.disk_name(name) if equals else "hda", disk_size(size)


def create(actor: Actor, name: MachineName, **values: Any) -> Any:
    """Make a machine: its row, address and disk.  It is off."""
    wanted = {name: value for name, value in values.items() if value is not None}
    done = submit("create", actor, name, wanted)
    with transaction() as cursor:
        return made(cursor, actor, done)


def made(cursor: Any, actor: Actor, operation: Operation) -> states.Machine:
    """The machine that an operation made, if actor may see it still; raises NotFound.

    By its number: since then, another's machine may have got the name.
    """
    try:
        row = access.require_number(cursor, actor.principal, operation.machine_id)
    except NotFound as error:
        done = f"{operation.machine_name} was made by operation {operation.operation_id}"
        raise NotFound(f"{done}, but {error.message}", error.hint) from error
    return states.describe(cursor, [row])[0]


def _owned(actor: Actor, name: MachineName) -> None:
    """Raises NotFound or Denied unless actor is a member of the machine's owner.

    The operation's admission asks again; this is before hosts are asked.  Who repeats a request is past
    that: what it was about may be gone, or have another name, by what was done.
    """
    if submission.before(actor):
        return
    with transaction() as cursor:
        access.require_owner(cursor, actor.principal, name)


def resize(
    actor: Actor, name: MachineName, memory: int | None, cpus: int | None, disk: tuple[tuple[str, int], ...]
) -> str:
    """Change memory, CPUs and disks; the machine has to be off."""
    sizes = dict(disk)
    if len(sizes) < len(disk):
        raise BadInput("a disk is named twice")
    wanted: dict[str, Any] = {"memory": memory, "cpus": cpus, "disks": sizes}
    wanted = {key: value for key, value in wanted.items() if value}
    if not wanted:
        raise BadInput("nothing to change", hint="Give --memory, --cpus or --disk.")
    _owned(actor, name)
    submit("resize", actor, name, wanted)
    return f"{name} is resized; it counts from the next boot on"


def set_(actor: Actor, name: MachineName, autostart: str | None, owner: str | None) -> str:
    """Change a setting of a machine, from now on, or offer it to another owner."""
    if (autostart is None) == (owner is None):
        raise BadInput("one thing is changed at a time", hint="Give --autostart or --owner.")
    if owner is not None:
        return handing.offer(actor, name, owner)
    with transaction() as cursor:
        row = access.require_owner(cursor, actor.principal, name)
        cursor.execute(
            "UPDATE machines SET autostart = %s WHERE machine_id = %s",
            (autostart == "yes", row.machine_id),
        )
    return f"{name} has autostart {autostart}"


def set_priority(actor: Actor, name: MachineName, priority: int) -> str:
    """Say how soon a machine comes back among those that are wanted on; for administrators."""
    with transaction() as cursor:
        row = access.require_owner(cursor, actor.principal, name)
        cursor.execute("UPDATE machines SET priority = %s WHERE machine_id = %s", (priority, row.machine_id))
    return f"{name} has priority {priority}"


def rename(actor: Actor, name: MachineName, new: MachineName) -> str:
    """Give a machine another name; it has to be off."""
    _owned(actor, name)
    submit("rename", actor, name, {"name": new})
    return f"{name} is now {new}"


def allow(actor: Actor, name: MachineName, principal: str) -> str:
    """Let a principal control the machine, from the next call on."""
    with transaction() as cursor:
        access.allow(cursor, actor.principal, name, principal)
    return f"{principal} may control {name}"


def disallow(actor: Actor, name: MachineName, principal: str) -> str:
    """Let a principal control the machine no more, from the next call on."""
    with transaction() as cursor:
        access.disallow(cursor, actor.principal, name, principal)
    return f"{principal} may no longer control {name}"


def delete(actor: Actor, name: MachineName, yes: bool) -> str:
    """Move a machine and its disks to the trash; without --yes, say what would be lost."""
    if not yes:
        with transaction() as cursor:
            lost = states.describe(cursor, [access.require_owner(cursor, actor.principal, name)])
        say(f"This would be lost:\n{listing.FACTS(lost[0])}".rstrip("\n"))
        raise BadInput(f"{name} is not deleted", hint="Say so again with --yes.")
    _owned(actor, name)
    submit("delete", actor, name)
    days = config.storage.trash_days
    return f"{name} is in the trash for {days} days: machine undelete gives it back, purge ends it"


def _disk_verb(kind: str) -> Callable[..., str]:
    """What does an operation of a single disk."""

    def run(actor: Actor, name: MachineName, disk: str, **values: Any) -> str:
        _owned(actor, name)
        wanted = {key: value for key, value in values.items() if value is not None}
        submit(kind, actor, name, {"disk": disk, **wanted})
        return f"{name}: {kind} of {disk} done"

    return run


def _rename_disk(actor: Actor, name: MachineName, disk: str, new: str) -> str:
    _owned(actor, name)
    submit("disk-rename", actor, name, {"disk": disk, "name": new})
    return f"{name}: disk-rename of {disk} done"


def _verb(
    name: str, summary: str, run: Any, *arguments: Argument, who: Who = Who.OWNER, example: str | None = None
) -> Verb:
    return Verb(name, summary, run, (NAME, *arguments), who=who, changes=True, example=example)


def _operation(*row: Any, **more: Any) -> Verb:
    return waitable(_verb(*row, **more))


MEMORY = Option("memory", "its memory", memory, "SIZE", unit="MiB", sample="512M")
DISK_SIZE = Option("disk", "the size of its disk hda", disk_size, "SIZE", unit="GiB", sample="10G")
CPUS = Option("cpus", "how many CPUs", cpus, "N", sample="2")
POOL = Option(
    "pool", "where it lies; by default with the machine's first disk", validate.machine_name, "POOL",
    sample="ssd",
)  # fmt: skip
CREATE = (
    MEMORY,
    DISK_SIZE,
    CPUS,
    replace(POOL, help="where its disk lies; by default the first that suits its type"),
    Option("type", "the type of machine", validate.machine_name, "TYPE"),
    Option("owner", "whose quota it counts to", validate.owner_name, "OWNER"),
    Option("description", "a line about it", validate.description, "TEXT"),
)
GROW = Option(
    "disk", "a disk (hda) and its new size; disks only grow", disk_and_size, "[DISK=]SIZE",
    unit="GiB", several=True, sample="hdb=20G",
)  # fmt: skip
AUTOSTART = Option(
    "autostart", "whether it is booted again after a crash of its guest or host (a new machine: yes)",
    choices=("yes", "no"),
)  # fmt: skip
PRIORITY = Option(
    "priority", "0 to 9; of those that are wanted on the higher come back first (a new machine: 5)", priority,
    "N", required=True, sample="9",
)  # fmt: skip
TO = Option(
    "owner", "whose it is to be, once they accept it; its own: offer it no more", validate.owner_name,
    "OWNER",
)  # fmt: skip
NEW = Argument("new", "its new name", validate.machine_name, "NEW", sample="romulus")
PRINCIPAL = Argument(
    "principal", "whom; bob is bob@ your realm", access.full_principal, "PRINCIPAL", sample="bob"
)
MACHINE = (
    replace(
        _operation("create", "make a machine, off", create, *CREATE, who=Who.ANYONE,
              example="remus --memory 512M --disk 10G"),
        shown=listing.FACTS,
    ),
    *listing.VERBS,
    USAGE,
    installs.LIST,
    *cdroms.VERBS,
    _operation("resize", "change memory, CPUs or disks of a machine that is off", resize, MEMORY, CPUS, GROW,
          example="remus --memory 1G --disk hda=20G"),
    _verb("set", "say whether a machine is booted again after a crash, or offer it to another owner", set_,
          AUTOSTART, TO, example="remus --owner group:robotics"),
    *handing.VERBS,
    requests.GROUP,
    *limits.VERBS,
    *apart.VERBS,
    *explain.VERBS,
    _operation("rename", "give a machine that is off another name", rename, NEW),
    _verb("allow", "let a principal control a machine", allow, PRINCIPAL),
    _verb("disallow", "let a principal control a machine no more", disallow, PRINCIPAL),
    _operation("delete", "put a machine that is off into the trash", delete, Flag("yes", YES),
          example="remus --yes"),
    *undelete.VERBS,
    keys.GROUP,
    tokens.GROUP,
    looks.GROUP,
    groups.GROUP,
)  # fmt: skip
DISK = Argument("disk", "hda to hdz", validate.disk_name, "DISK", sample="hdb")
SIZE = Argument("size", "its size", disk_size, "SIZE", unit="GiB", sample="10G")
NEW_DISK = replace(DISK, name="new", help="its new name", metavar="NEWDISK", sample="hdc")
DISKS = (
    _operation("lvcreate", "add a disk", _disk_verb("disk-create"), DISK, SIZE, POOL),
    _operation("lvresize", "make a disk larger", _disk_verb("disk-resize"), DISK, SIZE),
    _operation("lvrename", "rename a disk", _rename_disk, DISK, NEW_DISK),
    _operation("lvremove", "remove a disk", _disk_verb("disk-remove"), DISK),
)
