"""Disks as sparse raw files in a directory, which hosts may share."""

from __future__ import annotations

import os
from pathlib import Path

from invirt.base.abilities import Can
from invirt.host.storage.volumes import Storage

GIB = 1 << 30


class FileStorage(Storage):
    """Files d_NAME_DISK in a directory, the removed ones in its folder trash."""

    can = frozenset({Can.GROW})

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def path_of(self, key: str) -> str:
        return str(self._file(key))

    def sizes(self) -> dict[str, int]:
        found = {}
        for folder in (self.directory, self.directory / "trash"):
            if folder.is_dir():
                files = (entry for entry in os.scandir(folder) if entry.is_file())
                found.update({entry.name: entry.stat().st_size // GIB for entry in files})
        return found

    def size(self, key: str) -> int | None:
        try:
            return self._file(key).stat().st_size // GIB
        except FileNotFoundError:
            return None

    def make(self, key: str, gib: int) -> None:
        """The link fails where another host made the file meanwhile: never an empty one in its place."""
        self.directory.mkdir(parents=True, exist_ok=True)
        new = self._file(f".{key}.new")
        new.touch(mode=0o600)
        os.truncate(new, gib * GIB)
        os.link(new, self._file(key))
        new.unlink()
        _sync(self.directory)

    def settle(self, key: str) -> None:
        """A file is whole, or not there."""

    def grow(self, key: str, gib: int) -> None:
        os.truncate(self._file(key), gib * GIB)

    def move(self, old: str, new: str) -> None:
        self._file(new).parent.mkdir(parents=True, exist_ok=True)
        self._file(old).rename(self._file(new))
        _sync(self._file(old).parent)
        _sync(self._file(new).parent)

    def hold(self, key: str) -> None:
        """QEMU locks files itself; Xen's guests have none but by remote's word."""

    def release(self, key: str) -> None:
        """Nothing was held."""

    def wipe(self, key: str) -> None:
        self._file(key).unlink(missing_ok=True)

    def untouched(self, key: str) -> bool:
        return self._file(key).stat().st_blocks == 0

    def _file(self, key: str) -> Path:
        return (
            self.directory / "trash" / key if key.startswith(("trash.", "purge.")) else self.directory / key
        )


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)
