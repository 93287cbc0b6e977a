"""Which QEMU this host has: a guest that a newer one made can't come to it while it runs."""

from __future__ import annotations

import re
from pathlib import Path

from invirt.base.process import run
from invirt.host import paths
from invirt.host.qemu.able import QEMU
from invirt.host.qemu.guest import Guest

SAYS = re.compile(r"QEMU emulator version ([0-9]{1,3}\.[0-9]{1,3})\b")
MODEL = re.compile(r"pc-i440fx-([0-9]{1,3}\.[0-9]{1,3})")


def installed() -> str:
    """MAJOR.MINOR, "" without one.  It is asked once for each file that has been installed."""
    try:
        stamp = str(Path(QEMU).stat().st_ctime_ns)
    except FileNotFoundError:
        return ""
    kept = paths.run() / "qemu"
    known, _, version = kept.read_text().partition(" ") if kept.exists() else ("", "", "")
    if known != stamp:
        found = SAYS.match(run([QEMU, "--version"]).stdout)
        version = found[1] if found else ""
        paths.write(kept, f"{stamp} {version}")
    return version


def newest_model() -> str:
    """Of the machine that QEMU makes where no other is wanted."""
    return f"pc-i440fx-{installed()}"


def traits(guest: Guest) -> dict[str, object]:
    """What tells where a guest that runs can go: the QEMU that its model is of, and whether it has a CD.

    Of one that was booted before this was written down the first is not told.
    """
    found = MODEL.fullmatch(guest.model.read_text()) if guest.model.exists() else None
    made = {"made_by": found[1]} if found else {}
    return made | {"cd": any(disk.get("devtype") == "cdrom" for disk in guest.config().devices("disk"))}
