"""invirt-autoinstaller: makes what machines are installed with, and says what there is."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from invirt.autoinstaller import bases, recipes, signing
from invirt.autoinstaller.bases import Base
from invirt.base.cli import Argument, Command, Option, Table, Verb, say
from invirt.base.errors import BadInput

_URL = re.compile(r"https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?")


def _mirror(value: str) -> str:
    """The whitelist of URLs, which go into a line of sources.list."""
    if not _URL.fullmatch(value):
        raise BadInput(f"{value!r} is no mirror's URL", hint=f"For instance {recipes.MIRROR}")
    return value


STATE = "/var/lib/invirt-autoinstaller"
NAME = Argument("name", "which one", metavar="NAME", choices=tuple(recipes.RECIPES), sample="debian-12")
MIRROR = Option(
    "mirror", "Debian's packages; the machines', too", _mirror, metavar="URL", default=recipes.MIRROR
)
SECURITY = Option(
    "security", "its security updates; the machines', too", _mirror, metavar="URL", default=recipes.SECURITY
)
FOLDER = Option("folder", "where they are kept", metavar="FOLDER", default=STATE)


def _build(names: tuple[str, ...], mirror: str, security: str, folder: str) -> str:
    for name in names or recipes.RECIPES:
        say(f"Making the base of {name}: a minute or more.")
        recipe = replace(recipes.RECIPES[name], mirror=mirror, security=security)
        say(_line(bases.build(Path(folder), name, partial(recipes.make, recipe))))
    return f"served below {folder}/{bases.PUBLIC}; the key is {folder}/{signing.KEYRING}"


def _line(base: Base) -> str:
    return f"{base.name}: {base.file}, {base.size >> 20} MiB, {base.unpacked >> 20} unpacked"


def _list(folder: str) -> list[dict[str, Any]]:
    state = Path(folder)
    return [_record(bases.known(state, name)) for name in bases.names(state)]


def _verify(name: str, folder: str) -> str:
    return f"{_line(bases.verify(Path(folder), name))}; whole, and signed by this server"


def _record(base: Base) -> dict[str, Any]:
    day = time.strftime("%Y-%m-%d", time.gmtime(base.made))
    return {
        "name": base.name,
        "made": day,
        "size": f"{base.size >> 20} MiB",
        "unpacked": f"{base.unpacked >> 20} MiB",
        "file": base.file,
    }


COMMAND = Command(
    name="invirt-autoinstaller",
    section=8,
    summary="make what machines are installed with",
    description=(
        "A base is an archive of a whole Debian, made ahead, so that a machine is installed in a minute:\n"
        "minbase by mmdebstrap with the security suite, kernel, loader and ssh. It is signed by a key that\n"
        "this server makes for itself, and served by HTTP at port 8180; the one before stays, for who is\n"
        "fetching it. A timer makes all of them anew each night; what it calls,\n"
        "`systemctl edit invirt-autoinstaller.service` changes."
    ),
    files={
        f"{STATE}/{bases.PUBLIC}": "what is served",
        f"{STATE}/{signing.KEYRING}": "the public key, without which no installer takes a base",
        f"{STATE}/{signing.HOME}": "the key itself: root's alone",
    },
    example="invirt-autoinstaller build debian-12",
    verbs=(
        Verb(
            "build",
            "make bases anew (default: all)",
            _build,
            (replace(NAME, name="names", required=False, several=True), MIRROR, SECURITY, FOLDER),
            changes=True,
        ),
        Verb("list", "the bases that are served", _list, (FOLDER,), shown=Table(empty="There are none yet.")),
        Verb("verify", "read a base, and its signature", _verify, (NAME, FOLDER)),
    ),
)
