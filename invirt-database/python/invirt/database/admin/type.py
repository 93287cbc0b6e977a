"""Types of machines: how they are booted."""

from __future__ import annotations

from typing import Any

from invirt.base import guests
from invirt.base.abilities import NEEDS
from invirt.base.cli import Group, Option, Verb
from invirt.database.admin.verbs import Row, given, listing, named, refuse_if_used
from invirt.database.models import Cdrom, Machine, Type
from invirt.database.session import session

NAME = named("linux")


def _needs(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


FIELDS = (
    Option("virt", "how it is run; default: pvh, without a kernel hvm", choices=("pv", "pvh", "hvm")),
    Option("description", "a line about it", metavar="TEXT"),
    Option(
        "kernel",
        "file on the hosts; empty: a machine boots from its disk (a new type, but for hvm: invirt-kernel's)",
        metavar="FILE",
    ),
    Option("initrd", "file on the hosts (with a new type's kernel, if none is named)", metavar="FILE"),
    Option(
        "append",
        "the kernel's command line (a new type's, if no kernel is named: its console on ttyS0)",
        metavar="WORDS",
    ),
    Option("clock", "in which its machines are told the time (default: utc)", choices=("utc", "local")),
    Option(
        "cdrom",
        "a CD in a second drive of all its machines, drivers say; empty: none",
        metavar="CDROM",
        sample="virtio-drivers",
    ),
    Option("needs", f"of its hosts, with commas: {', '.join(NEEDS)}", _needs, "WORDS", sample="qemu,cdrom"),
)
PACKAGED = {"kernel": guests.KERNEL, "initrd": guests.INITRD, "append": guests.APPEND}
NAMES = tuple(field.name for field in FIELDS)


def _read(fields: dict[str, Any]) -> dict[str, Any]:
    """The columns of what has another name, or form, there."""
    read = dict(fields)
    if "clock" in fields:
        read["local_clock"] = read.pop("clock") == "local"
    if "cdrom" in fields:
        read["cdrom"] = Cdrom.get(name=fields["cdrom"]) if fields["cdrom"] else None
    return read


def _add(name: str, **values: Any) -> None:
    """Where nothing is said of a kernel, though it could be, that of invirt-kernel is meant."""
    fields = {key: value for key, value in values.items() if value is not None}
    if "kernel" in values and "kernel" not in fields and fields.get("virt") != "hvm":
        fields = PACKAGED | fields
    fields = {key: value for key, value in fields.items() if value or key not in PACKAGED}
    session.add(Type(name=name, **{"virt": "pvh" if "kernel" in fields else "hvm", **_read(fields)}))


def _set(name: str, **values: Any) -> None:
    found = Type.get(name=name)
    wanted = given(values, f"Give one of --{', --'.join(NAMES)}.")
    for key, value in _read(wanted).items():
        setattr(found, key, value or None if key in PACKAGED else value)


def _list() -> list[Row]:
    return [{"name": found.name, **{name: _cell(found, name) for name in NAMES}} for found in Type.find()]


def _cell(found: Type, name: str) -> object:
    if name == "clock":
        return "local" if found.local_clock else "utc"
    if name == "cdrom":
        return found.cdrom and found.cdrom.name
    return ",".join(found.needs) if name == "needs" else getattr(found, name)


def _remove(name: str) -> None:
    found = Type.get(name=name)
    refuse_if_used(f"the type {found.name}", Machine.find(type_id=found.type_id))
    session.delete(found)


GROUP = Group(
    "type",
    "kinds of machines and how they boot",
    (
        Verb("add", "add a type", _add, (NAME, *FIELDS), changes=True,
             example="linux"),
        listing("show all types", _list),
        Verb("set", "change a type; an empty text removes a value", _set, (NAME, *FIELDS), changes=True,
             example="linux --kernel /boot/vmlinuz-new"),
        Verb("remove", "remove a type that no machine is of", _remove, (NAME,), changes=True),
    ),
)  # fmt: skip
