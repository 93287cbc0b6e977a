"""Systems that an installer puts on machines: what `control NAME install` offers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from invirt.base import validate
from invirt.base.cli import Group, Option, Verb
from invirt.base.errors import BadInput
from invirt.database.admin.verbs import Row, gibibytes, given, listing, memory, named
from invirt.database.models import Autoinstall
from invirt.database.session import session

LARGEST = 65536  # bytes of a keyring
NAME = named("debian-12", "its base's name on the server that has it")


def _keyring(file: str) -> bytes:
    """A keyring as gpgv reads it: binary, not in letters."""
    try:
        with Path(file).open("rb") as opened:
            found = opened.read(LARGEST + 1)
    except OSError as error:
        raise BadInput(f"{file} can't be read: {error.strerror}") from error
    if found.startswith(b"-----BEGIN") or not 0 < len(found) <= LARGEST:
        raise BadInput(
            f"{file} is no keyring for gpgv", hint=f"gpg --dearmor <{file} makes one of a key in letters."
        )
    return found


def _script(file: str) -> str:
    """A script as it is kept; empty for none."""
    if not file:
        return ""
    try:
        with Path(file).open(encoding="utf-8") as opened:
            return opened.read(LARGEST + 1)
    except (OSError, UnicodeError) as error:
        raise BadInput(
            f"{file} can't be read: {getattr(error, 'strerror', None) or 'it is no text'}"
        ) from error


def _or_empty(whitelist: Callable[[str], str]) -> Callable[[str], str]:
    """The same whitelist, but that an empty text passes."""
    return lambda text: text and whitelist(text)


FIELDS = (
    Option("url", "where its base is", metavar="URL", sample="http://install.example.org:8180/debian-12"),
    Option(
        "keyring", "a file on this server: whose signature on the base counts", metavar="FILE",
        sample="/var/lib/invirt-autoinstaller/keyring.gpg",
    ),
    Option(
        "script", "a file on this server: run at the end, as root of the new system; empty: none",
        metavar="FILE", sample="/etc/invirt/after-install",
    ),
    Option("suite", "what its base must be of, as mirrors call it; empty: whichever it is of",
           _or_empty(validate.suite), metavar="SUITE", sample="bookworm"),
    Option("mirror", "what machines have in place of the mirror that its base was made of; empty: that one",
           _or_empty(validate.mirror), metavar="URL", sample="http://mirror.example.org/debian"),
    Option("architecture", "what it is made for (a new one: amd64, as hosts are)", validate.architecture,
           metavar="ARCHITECTURE", sample="amd64"),
    memory("what a machine must have at least (a new one: 512 MiB)"),
    Option("disk", "how large its disk must be at least (a new one: 2 GiB)", gibibytes, "SIZE", unit="GiB",
           sample="4G"),
    Option("description", "a line about it", metavar="TEXT"),
)  # fmt: skip
SHOWN = ("url", "suite", "mirror", "architecture", "memory", "disk", "description")


def _read(fields: dict[str, Any]) -> dict[str, Any]:
    """What is in the files in the place of their names."""
    reads = {"keyring": _keyring, "script": _script}
    return {key: reads[key](value) if key in reads else value for key, value in fields.items()}


def _add(name: str, **values: Any) -> None:
    fields = {key: value for key, value in values.items() if value is not None}
    if missing := [word for word in ("url", "keyring") if word not in fields]:
        raise BadInput(f"--{missing[0]} is missing")
    session.add(Autoinstall(name=name, **_read(fields)))


def _set(name: str, **values: Any) -> None:
    found = Autoinstall.get(name=name)
    wanted = given(values, f"Give one of --{', --'.join(field.name for field in FIELDS)}.")
    for key, value in _read(wanted).items():
        setattr(found, key, value)


def _list() -> list[Row]:
    return [
        {**{key: getattr(found, key) for key in ("name", *SHOWN)}, "script": "yes" if found.script else "no"}
        for found in Autoinstall.find()
    ]


def _remove(name: str) -> None:
    session.delete(Autoinstall.get(name=name))


GROUP = Group(
    "autoinstall",
    "systems that can be installed on machines",
    (
        Verb("add", "add a system", _add, (NAME, *FIELDS), changes=True,
             example="debian-12 --url http://install.example.org:8180/debian-12 --keyring keyring.gpg"),
        listing("show all systems", _list),
        Verb("set", "change a system", _set, (NAME, *FIELDS), changes=True,
             example="debian-12 --suite bookworm --memory 1G"),
        Verb("remove", "remove a system; machines that have it keep it", _remove, (NAME,), changes=True),
    ),
)  # fmt: skip
