"""invirt-kernel: makes the kernel and ramdisk that guests boot, and says of which kernel they are."""

from __future__ import annotations

from pathlib import Path

from invirt.base import guests
from invirt.base.cli import Command, Option, Verb
from invirt.kernel import build

FOLDER = Option("folder", "where they are put", metavar="FOLDER", default=guests.FOLDER)
ROOT = Option("root", "below which Debian's packages are installed", metavar="FOLDER", default="/")


def _make(root: str, folder: str) -> str:
    return build.make(Path(root), Path(folder))


def _show(folder: str) -> str:
    return build.version(Path(folder))


COMMAND = Command(
    name="invirt-kernel",
    section=8,
    summary="make the kernel and ramdisk that guests boot",
    description=(
        "Debian's kernel for clouds, or else the one for servers, whichever is installed and newest, and\n"
        f"a ramdisk of busybox, as {guests.KERNEL} and initrd beside it. Runs by itself\n"
        "when a kernel is installed, upgraded or removed; what can't be made leaves what there was."
    ),
    files={
        guests.KERNEL: "the kernel, as it is without its compression",
        guests.INITRD: "the ramdisk",
        guests.INSTALLER: "the installer's: see control NAME install",
        guests.RESCUE: "the rescue system's: see control NAME rescue",
    },
    example="invirt-kernel make",
    verbs=(
        Verb("make", "make them of the newest kernel, unless they are", _make, (ROOT, FOLDER), changes=True),
        Verb("show", "the kernel that they are of", _show, (FOLDER,)),
    ),
)
