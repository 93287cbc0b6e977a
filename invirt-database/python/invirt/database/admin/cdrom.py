"""Images of CDs that machines can have in their drives: files on the hosts."""

from __future__ import annotations

from typing import Any

from invirt.base.cli import Group, Option, Verb
from invirt.base.errors import BadInput
from invirt.database.admin.verbs import Row, given, listing, named, refuse_if_used
from invirt.database.models import Cdrom, Machine, Type
from invirt.database.session import session

NAME = named("debian-netinst")
FIELDS = (
    Option(
        "path", "the image's file, the same on each host that is to boot from it", metavar="FILE",
        sample="/srv/images/debian-netinst.iso",
    ),
    Option("description", "a line about it", metavar="TEXT"),
)  # fmt: skip


def _add(name: str, **values: Any) -> None:
    fields = {key: value for key, value in values.items() if value is not None}
    if "path" not in fields:
        raise BadInput("--path is missing")
    session.add(Cdrom(name=name, **fields))


def _set(name: str, **values: Any) -> None:
    found = Cdrom.get(name=name)
    for key, value in given(values, "Give --path or --description.").items():
        setattr(found, key, value)


def _list() -> list[Row]:
    rows = [{key: getattr(found, key) for key in ("name", "path", "description")} for found in Cdrom.find()]
    return sorted(rows, key=lambda row: row["name"])


def _remove(name: str) -> None:
    found = Cdrom.get(name=name)
    refuse_if_used(f"the CD {name}", Machine.find(cdrom_id=found.cdrom_id))
    if types := Type.find(cdrom_id=found.cdrom_id):
        raise BadInput(f"the CD {name} is that of the type {types[0].name}", hint="Nothing was removed.")
    session.delete(found)


GROUP = Group(
    "cdrom",
    "CDs that machines can have in their drives",
    (
        Verb("add", "add an image, which lies on the hosts", _add, (NAME, *FIELDS), changes=True,
             example="debian-netinst --path /srv/images/debian-netinst.iso"),
        listing("show all CDs", _list),
        Verb("set", "change an image, from the next boots on", _set, (NAME, *FIELDS), changes=True,
             example="debian-netinst --path /srv/images/debian-13.iso"),
        Verb("remove", "remove an image that is in no drive; its file stays", _remove, (NAME,), changes=True),
    ),
)  # fmt: skip
