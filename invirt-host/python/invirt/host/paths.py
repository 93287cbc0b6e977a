"""Where a host keeps what it knows; tests point these elsewhere."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from invirt.base.errors import NoRoom


def state() -> Path:
    """What must live through a reboot: $INVIRT_STATE or /var/lib/invirt."""
    return Path(os.environ.get("INVIRT_STATE", "/var/lib/invirt"))


def run() -> Path:
    """What a reboot ends: $INVIRT_RUN or /run/invirt."""
    return Path(os.environ.get("INVIRT_RUN", "/run/invirt"))


def xen() -> Path:
    """The domains' configuration: $INVIRT_XEN or /etc/xen."""
    return Path(os.environ.get("INVIRT_XEN", "/etc/xen"))


def screen(number: int) -> Path:
    """Where the screen of that machine is to be seen: VNC; see invirt.host.qemu.screen."""
    return run() / "screens" / str(number) / "vnc"


def make(folder: Path) -> None:
    """A folder, and those above it, that only root can read; ones that are there stay as they are."""
    if not folder.is_dir():
        make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def write(path: Path, text: str) -> None:
    """Put text at path: a reader, or a crash, sees the old or the new, never half; after it, the new.

    Only root can read it.  Raises NoRoom where the file system is full.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        make(path.parent)
        _put(new, text)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        new.unlink(missing_ok=True)
        raise NoRoom(f"{path} can't be written: {error.strerror}", hint="df tells what is full.") from error
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the new name
    finally:
        os.close(folder)


def _put(new: Path, text: str) -> None:
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def tail(path: Path, most: int) -> bytes:
    """The last bytes of a file, so many at most; none of one that isn't there."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most)
    except FileNotFoundError:
        return b""
