"""remctl HOST volume …: the disks of machines, for remote."""

from __future__ import annotations

import argparse
import json

from invirt.base import validate
from invirt.base.cli import Command
from invirt.host import loading, tokens

LARGEST = 1 << 20  # GiB; what one machine may have is remote's to decide


def create(arguments: argparse.Namespace) -> None:
    """Make a disk."""
    with tokens.claimed(arguments.token, arguments.name):
        loading.storage().create(arguments.name, arguments.disk, arguments.gib)


def resize(arguments: argparse.Namespace) -> None:
    """Grow a disk."""
    with tokens.claimed(arguments.token, arguments.name):
        loading.storage().resize(arguments.name, arguments.disk, arguments.gib)


def rename(arguments: argparse.Namespace) -> None:
    """Call a disk otherwise."""
    one = arguments
    with tokens.claimed(one.token, one.name, one.new_name):
        loading.storage().rename(one.name, one.disk, one.new_name, one.new_disk)


def remove(arguments: argparse.Namespace) -> None:
    """Put a disk into the trash."""
    with tokens.claimed(arguments.token, arguments.name):
        loading.storage().remove(arguments.name, arguments.disk, arguments.operation)


def restore(arguments: argparse.Namespace) -> None:
    """Take a disk back from the trash."""
    with tokens.claimed(arguments.token, arguments.name):
        loading.storage().restore(arguments.name, arguments.disk, arguments.operation)


def undelete(arguments: argparse.Namespace) -> None:
    """Give a disk in the trash to a machine."""
    one = arguments
    with tokens.claimed(one.token, one.new_name, tokens.item(one.operation)):
        loading.storage().restore(one.name, one.disk, one.operation, one.new_name, one.new_disk)


def give_up(arguments: argparse.Namespace) -> None:
    """Put it back into the trash."""
    one = arguments
    with tokens.claimed(one.token, one.new_name, tokens.item(one.operation)):
        loading.storage().give_up(one.name, one.disk, one.operation, one.new_name, one.new_disk)


def purge(arguments: argparse.Namespace) -> None:
    """End a disk in the trash."""
    with tokens.claimed(arguments.token, tokens.item(arguments.operation)):
        loading.storage().purge(arguments.name, arguments.disk, arguments.operation)


def show_list(arguments: argparse.Namespace) -> None:
    """Print all disks, and those in the trash."""
    found: list[dict[str, str | int]] = []
    for volume in loading.storage().volumes():
        row: dict[str, str | int] = {"name": volume.name, "disk": volume.disk, "size": volume.size}
        if volume.operation is not None:
            row["trash"] = volume.operation
        found.append(row)
    print(json.dumps(found))


_GIVEN = ("name", "disk", "operation", "new_name", "new_disk", "token")
_VERBS = (
    ("create", create, "make a disk of GIB GiB", ("name", "disk", "gib", "token")),
    ("resize", resize, "grow a disk to GIB GiB", ("name", "disk", "gib", "token")),
    ("rename", rename, "call a disk otherwise", ("name", "disk", "new_name", "new_disk", "token")),
    ("remove", remove, "put a disk into the trash", ("name", "disk", "operation", "token")),
    ("restore", restore, "take a disk back from the trash", ("name", "disk", "operation", "token")),
    ("undelete", undelete, "give a disk in the trash to a machine", _GIVEN),
    ("return", give_up, "put it back into the trash", _GIVEN),
    ("purge", purge, "end a disk in the trash, for good", ("name", "disk", "operation", "token")),
    ("list", show_list, "all disks and their sizes in GiB, and those in the trash", ()),
)


def gibibytes(text: str) -> int:
    """The size of a disk."""
    return validate.gibibytes(text, 1, LARGEST)


_TYPES = {
    "name": validate.machine_name,
    "new_name": validate.machine_name,
    "disk": validate.disk_name,
    "new_disk": validate.disk_name,
    "gib": gibibytes,
    "operation": validate.token,
    "token": validate.token,
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for word, run, summary, names in _VERBS:
        verb = verbs.add_parser(word, help=summary, description=summary)
        for name in names:
            verb.add_argument(name, metavar=name.upper().replace("_", ""), type=_TYPES[name])
        verb.set_defaults(verb=run)


COMMAND = Command(
    name="invirt-host-volume",
    section=8,
    summary="the disks of machines",
    description="Run by remctld for the remote server as `volume`. TOKEN is a new, higher one with each "
    "command; one that is not higher than all seen for NAME is refused. With a new one, all verbs are safe "
    "to repeat.",
    example="remctl host1.example.org volume list",
    arguments=_arguments,
    run=lambda arguments: arguments.verb(arguments),
    remctl="volume",
)
