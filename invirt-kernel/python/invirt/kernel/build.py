"""Makes kernel and ramdisks, and puts them where they are looked for, both at once.

    FOLDER/vmlinuz -> current/vmlinuz
    FOLDER/initrd  -> current/initrd         and so each ramdisk
    FOLDER/current -> KEY                what another link of that name replaces
    FOLDER/KEY/vmlinuz, initrd, version  complete before anything leads there

KEY is made of all that goes in, so the same is not made twice, and a build that
is cut off at any step leaves the old pair.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from invirt.base import cpio, lock
from invirt.base.errors import Busy, NotFound
from invirt.kernel import image, libraries
from invirt.kernel.ramdisks import RAMDISKS
from invirt.kernel.source import Source, newest

KERNEL = "vmlinuz"
_CURRENT = "current"
_VERSION = "version"  # a line: as `uname -r` has it
_PATIENCE = 120  # seconds for another one that is at it


def make(root: Path, folder: Path) -> str:
    """Make what is in folder of the newest kernel below root; returns what became of it, as a sentence.

    Raises InvirtError, and leaves what there is, if that can't be done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as locked:
        if not lock.take(locked, _PATIENCE):
            raise Busy(f"somebody else is making {folder}", hint="Try again later.")
        source = newest(root)
        parts = _parts(source, root)
        key = _key(parts)
        if _is_complete(folder, key):
            return f"{folder} is of {source.version} already"
        _write(folder / key, _made(parts))
        _lead_to(folder, key)
        return f"{folder} is of {source.version} now"


def version(folder: Path) -> str:
    """The kernel that is in folder; raises NotFound if nothing is made yet."""
    try:
        return (folder / _CURRENT / _VERSION).read_text().strip()
    except FileNotFoundError:
        raise NotFound(f"there is no kernel in {folder}", hint="invirt-kernel make") from None


def _parts(source: Source, root: Path) -> dict[str, bytes]:
    """All that goes in, by name: modules by theirs, which no other has, programs by RAMDISK/PLACE."""
    names = dict.fromkeys(name for ramdisk in RAMDISKS.values() for name in ramdisk.modules)
    programs = {
        f"{name}/{place}": data
        for name, ramdisk in RAMDISKS.items()
        for place, data in libraries.collected(root, ramdisk.programs).items()
    }
    return {
        _VERSION: f"{source.version}\n".encode(),
        KERNEL: source.image.read_bytes(),
        "busybox": source.busybox.read_bytes(),
        **source.read_modules(names),
        **programs,
    }


def _key(parts: dict[str, bytes]) -> str:
    """A hash of the parts, of this package and of what writes its archives."""
    here = Path(__file__).parent
    files = [*sorted(here.glob("*.py")), *sorted((here / "install").iterdir()), Path(cpio.__file__)]
    own = {path.name: path.read_bytes() for path in files}
    total = hashlib.sha256()
    for name, data in (own | parts).items():
        total.update(f"{name} {len(data)}\0".encode() + data)
    return total.hexdigest()[:16]


def _made(parts: dict[str, bytes]) -> dict[str, bytes]:
    """The files of one build."""
    ramdisks = {
        name: ramdisk.archive(
            parts["busybox"],
            {module: parts[module] for module in ramdisk.modules if module in parts},
            {key.removeprefix(f"{name}/"): data for key, data in parts.items() if key.startswith(f"{name}/")},
        )
        for name, ramdisk in RAMDISKS.items()
    }
    return {
        KERNEL: image.uncompressed(parts[KERNEL]),
        **ramdisks,
        _VERSION: parts[_VERSION],
    }


def _is_complete(folder: Path, key: str) -> bool:
    names = (KERNEL, *RAMDISKS)
    return _target(folder) == key and all((folder / name).is_file() for name in names)


def _target(folder: Path) -> str:
    current = folder / _CURRENT
    return os.readlink(current) if current.is_symlink() else ""


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """A folder with these files, on the disk when this returns; what a killed build left goes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        with (folder / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    _sync(folder)


def _lead_to(folder: Path, key: str) -> None:
    """Let the names lead to this build, and remove those before the last: who boots may be reading that."""
    last = _target(folder)
    for name in (KERNEL, *RAMDISKS):
        if not (folder / name).is_symlink():
            _link(folder / name, f"{_CURRENT}/{name}")
    _link(folder / _CURRENT, key)
    _sync(folder)
    for old in folder.iterdir():
        if old.is_dir() and not old.is_symlink() and old.name not in (key, last):
            shutil.rmtree(old)


def _link(path: Path, target: str) -> None:
    """By renaming: whoever looks finds the old link or the new one."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.rename(path)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
