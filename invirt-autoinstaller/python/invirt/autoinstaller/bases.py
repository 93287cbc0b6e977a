"""The bases that are served, each in a folder of its name; or what a machine makes its system with itself.

    STATE/public/debian-12/manifest.asc       what there is now, signed: the last to be replaced
    STATE/public/debian-12/base-KEY.tar.zst   that, and the one before, which somebody may be fetching

Killed at any step it leaves what was served before; what it has left behind goes at the next.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from invirt.autoinstaller import signing
from invirt.base import guests, lock
from invirt.base.errors import Busy, InvirtError, NotFound
from invirt.base.process import run

PUBLIC = "public"
MANIFEST = "manifest.asc"
_DAY = 86400
_PATIENCE = 1  # seconds for another one that is at it
_TIMEOUT = 600  # seconds to compress
Make = Callable[[Path, int], None]


@dataclass(frozen=True)
class Base:
    """What a manifest tells: sizes in bytes, made in seconds of Unix' time.

    makes: 0 if it is the system; else how much the machine makes with it.  architecture: what it is for.
    suite: what it is of.
    """

    name: str
    file: str
    size: int
    sha256: str
    unpacked: int
    made: int
    makes: int = 0
    architecture: str = guests.ARCHITECTURE
    suite: str = ""

    def text(self) -> str:
        """As installers read it: NAME VALUE, a line each."""
        return "".join(f"{name} {value}\n" for name, value in vars(self).items())


def build(
    state: Path,
    name: str,
    make: Make,
    makes: int = 0,
    architecture: str = guests.ARCHITECTURE,
    suite: str = "",
) -> Base:
    """Make the base of that name anew, and serve it: make(file, epoch) writes it as tar.

    makes, architecture and suite: as Base has them.  Raises Busy while another is made; InvirtError leaves
    what is served as it was.
    """
    folder = state / PUBLIC / name
    folder.mkdir(parents=True, exist_ok=True)
    with (state / ".lock").open("w") as locked:
        if not lock.take(locked, _PATIENCE):
            raise Busy("a base is being made", hint="Try again when it is done.")
        signing.ready(state)
        _tidy(folder)
        packed = _packed(folder, name, make)
        made = replace(packed, makes=makes, architecture=architecture, suite=suite)
        before = _known(state, name)
        signing.sign(state, made.text(), folder / MANIFEST)
        _tidy(folder, made.file, before.file if before else "")
        return made


def _packed(folder: Path, name: str, make: Make) -> Base:
    """The base as a file of the folder, which no manifest names yet."""
    tar, packed = folder / ".new.tar", folder / ".new.tar.zst"
    epoch = int(time.time()) // _DAY * _DAY
    make(tar, epoch)
    run(["zstd", "-q", "-f", "-T0", "-10", str(tar), "-o", str(packed)], timeout=_TIMEOUT)
    digest = _digest(packed)
    base = Base(name, f"base-{digest[:16]}.tar.zst", packed.stat().st_size, digest, tar.stat().st_size, epoch)
    tar.unlink()
    packed.chmod(0o644)
    with packed.open("rb") as file:
        os.fsync(file.fileno())
    packed.rename(folder / base.file)
    return base


def known(state: Path, name: str) -> Base:
    """What is served under that name; raises NotFound, or InvirtError if it isn't signed by our key."""
    file = state / PUBLIC / name / MANIFEST
    if not file.exists():
        raise NotFound(f"there is no base of {name}", hint=f"invirt-autoinstaller build {name}")
    told = dict(line.partition(" ")[::2] for line in signing.read(state, file).splitlines())
    numbers = {key: int(told.get(key, 0)) for key in ("size", "unpacked", "made", "makes")}
    architecture, suite = told.get("architecture", guests.ARCHITECTURE), told.get("suite", "")
    return Base(
        told["name"], told["file"], sha256=told["sha256"], architecture=architecture, suite=suite, **numbers
    )


def _known(state: Path, name: str) -> Base | None:
    try:
        return known(state, name)
    except InvirtError:
        return None


def names(state: Path) -> list[str]:
    """Of all bases that are served."""
    return sorted(path.parent.name for path in (state / PUBLIC).glob(f"*/{MANIFEST}"))


def verify(state: Path, name: str) -> Base:
    """Read all of it; raises InvirtError if it isn't what was signed."""
    base = known(state, name)
    file = state / PUBLIC / name / base.file
    if not file.exists() or file.stat().st_size != base.size or _digest(file) != base.sha256:
        raise InvirtError(f"{file} isn't what was signed", hint=f"invirt-autoinstaller build {name}")
    return base


def _digest(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _tidy(folder: Path, *keep: str) -> None:
    """Remove what a killed build has left; told what to keep, all other bases, too."""
    for path in folder.iterdir():
        if path.name.startswith(".new") or (keep and path.name.startswith("base-") and path.name not in keep):
            path.unlink()
