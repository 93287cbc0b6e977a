"""invirt-autoinstaller: makes what machines are installed with, and says what there is."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from invirt.autoinstaller import bases, recipes, signing, tools
from invirt.autoinstaller.bases import Base
from invirt.base import validate
from invirt.base.cli import Argument, Command, Option, Table, Verb, say

STATE = "/var/lib/invirt-autoinstaller"
NAME = Argument("name", "which one", validate.machine_name, "NAME", sample="debian-12")
MIRROR = Option(
    "mirror",
    "Debian's packages, instead of its own server; the machines', too",
    validate.mirror,
    metavar="URL",
)
SECURITY = Option(
    "security",
    "Debian's security updates, likewise",
    validate.mirror,
    metavar="URL",
)
FOLDER = Option("folder", "where they are kept", metavar="FOLDER", default=STATE)


def _build(names: tuple[str, ...], mirror: str | None, security: str | None, folder: str) -> str:
    wanted = {name: recipes.recipe(name) for name in names or recipes.known()}
    for name, own in wanted.items():
        say(f"Making the base of {name}: a minute or more.")
        recipe, debian = own.by(mirror, security), tools.DEBIAN.by(mirror, security)
        make = partial(recipes.make, recipe) if own.ahead else partial(tools.make, recipe, debian)
        makes = 0 if own.ahead else tools.MAKES
        say(_line(bases.build(Path(folder), name, make, makes, own.architecture, own.suite)))
    return f"served below {folder}/{bases.PUBLIC}; the key is {folder}/{signing.KEYRING}"


def _line(base: Base) -> str:
    what = ", with which machines make their system themselves" if base.makes else ""
    return f"{base.name}: {base.file}, {base.size >> 20} MiB, {base.unpacked >> 20} unpacked{what}"


def _list(folder: str) -> list[dict[str, Any]]:
    state = Path(folder)
    return [_record(bases.known(state, name)) for name in bases.names(state)]


def _verify(name: str, folder: str) -> str:
    return f"{_line(bases.verify(Path(folder), name))}; whole, and signed by this server"


def _record(base: Base) -> dict[str, Any]:
    day = time.strftime("%Y-%m-%d", time.gmtime(base.made))
    return {
        "name": base.name,
        "suite": base.suite,
        "architecture": base.architecture,
        "holds": "what makes it" if base.makes else "the system",
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
        f"{recipes.OWN}/NAME.yaml": "how a base of the site's own is made",
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
