"""A cpio archive (newc), of which Linux makes its first file system.

Several may follow one another.  It isn't compressed: under emulation reading is
faster than inflating.  Nothing in it depends on when or by whom it is made.
"""

from __future__ import annotations

import hashlib
import stat


def folder(name: str) -> bytes:
    """A folder, whose parent must come before it."""
    return _entry(name, stat.S_IFDIR | 0o755)


def file(name: str, data: bytes, mode: int = 0o644) -> bytes:
    """A file."""
    return _entry(name, stat.S_IFREG | mode, data)


def link(name: str, target: str) -> bytes:
    """A symbolic link."""
    return _entry(name, stat.S_IFLNK | 0o777, target.encode())


def console() -> bytes:
    """dev/console, on which the kernel opens init's streams."""
    return _entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))


def archive(members: list[bytes]) -> bytes:
    """The whole."""
    return b"".join([*members, _entry("TRAILER!!!", 0)])


def _entry(name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    inode = int(hashlib.sha256(name.encode()).hexdigest()[:7], 16)
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    """Up to the next multiple of four bytes."""
    return data + b"\0" * (-len(data) % 4)
