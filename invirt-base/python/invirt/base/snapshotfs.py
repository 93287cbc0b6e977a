"""A read-only FUSE file system whose files are whole snapshots made in open().

What a file holds is made by a Tree when the file is opened, and read() only
slices it: a reader sees one state of the database from the first byte to the
last.  If the Tree can't answer, open() fails with EIO.  (An error in read()
would not do: remctld takes what it got so far for the whole file, and an ACL
cut short lets a later line grant.)

Callbacks come in several threads at once, and in others each time, so that
threading.local is no use: a Tree must be safe for threads by its own pool.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

# Found by its name even before ldconfig has run, as when apt has just unpacked it.
os.environ.setdefault("FUSE_LIBRARY_PATH", "libfuse.so.2")
import fusepy

from invirt.base import log
from invirt.base.cli import Argument
from invirt.base.errors import InvirtError
from invirt.base.notify import notify
from invirt.base.process import run

BLOCK = 128 * 1024  # bytes a read(); twice as fast as 4 KiB
FOLDER, FILE = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o444


class Tree(Protocol):
    """What is in the file system.  Paths begin with /.  Any exception closes the door: EIO."""

    def is_folder(self, path: str) -> bool | None:
        """True for a folder, False for a file, None if there is no such path."""

    def list(self, path: str) -> Iterable[str]:
        """The names in a folder."""

    def content(self, path: str) -> bytes:
        """The whole of a file; raises FileNotFoundError if it has gone meanwhile."""


def _error(code: int) -> OSError:
    error: OSError = fusepy.FuseOSError(code)
    return error


class SnapshotFS(fusepy.Operations):  # type: ignore[misc]
    """The FUSE operations over a tree; program names the log's lines."""

    use_ns = True  # fusepy: times are whole nanoseconds

    def __init__(self, tree: Tree, program: str) -> None:
        self.tree = tree
        self.program = program
        self.born = time.time_ns()
        self.guard = threading.Lock()  # guards the two below
        self.numbers = itertools.count(1)
        self.snapshots: dict[int, bytes] = {}

    def __call__(self, op: str, *args: Any) -> Any:
        """Every callback comes through here; what the tree can't answer is EIO, and logged.

        What a file system like this doesn't do (writing, attributes) is answered as such.
        """
        try:
            return super().__call__(op, *args)
        except (fusepy.FuseOSError, FileNotFoundError):
            raise
        except Exception as error:
            self._report(op, args, error)
        raise _error(errno.EIO)

    def _report(self, op: str, args: tuple[Any, ...], error: Exception) -> None:
        log.write(f"{op} {args[:1]}: {error or type(error).__name__}", log.ERROR, program=self.program)

    def init(self, path: str) -> None:
        """Called by the kernel's first message: the file system is mounted."""
        notify("READY=1")

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """Root's, and readable by all who reach it; sizes are not known before open()."""
        folder = self.tree.is_folder(path)
        if folder is None:
            raise _error(errno.ENOENT)
        times = dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), self.born)
        return {
            "st_mode": FOLDER if folder else FILE,
            "st_nlink": 2 if folder else 1,
            "st_uid": 0,
            "st_gid": 0,
            "st_size": 0,
            "st_blksize": BLOCK,
            **times,
        }

    def readdir(self, path: str, fh: int) -> list[str]:
        """The names in a folder."""
        return [".", "..", *self.tree.list(path)]

    def open(self, path: str, flags: int) -> int:
        """Make the whole snapshot; its number is the file's handle."""
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise _error(errno.EROFS)
        content = bytes(self.tree.content(path))
        with self.guard:
            number = next(self.numbers)
            self.snapshots[number] = content
        return number

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """A slice of the snapshot."""
        return self.snapshots[fh][offset : offset + size]

    def release(self, path: str, fh: int) -> int:
        """The last reader has closed the file: free its snapshot."""
        with self.guard:
            self.snapshots.pop(fh, None)
        return 0


def _is_mounted(mountpoint: Path) -> bool:
    """Whether a FUSE file system, alive or not, is at mountpoint (which can't be asked itself)."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        where = left.split()[4].encode().decode("unicode_escape")
        if where == str(mountpoint) and right.startswith("fuse"):
            return True
    return False


def sweep(mountpoint: Path) -> None:
    """Unmount what a killed run has left at mountpoint, even if it is still in use.

    Raises CommandFailed if it can't be unmounted.
    """
    while _is_mounted(mountpoint):
        run(["umount", "--lazy", str(mountpoint)], timeout=10)


def mountpoint(default: str) -> Argument:
    """The argument of a command that mounts a tree: where, if not at default."""
    return Argument(
        "mountpoint",
        f"folder (default: {default})",
        Path,
        "MOUNTPOINT",
        required=False,
        default=Path(default),
    )


def mount(tree: Tree, mountpoint: Path, program: str) -> None:
    """Serve tree at mountpoint until it is unmounted or the process gets SIGTERM.

    Tells systemd when it is mounted (Type=notify).  Raises InvirtError if it can't be.
    """
    mountpoint = Path(os.path.abspath(mountpoint))
    sweep(mountpoint)
    try:
        mountpoint.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvirtError(f"{mountpoint} is no folder and can't be made: {error.strerror}") from error
    try:
        fusepy.FUSE(
            SnapshotFS(tree, program),
            str(mountpoint),
            fsname=program,
            subtype="invirt",
            foreground=True,
            nothreads=False,
            ro=True,
            allow_other=True,
            default_permissions=True,
            direct_io=True,  # st_size is not known: read until the end
            attr_timeout=0,
            entry_timeout=0,
            negative_timeout=0,
        )
    except RuntimeError as error:  # libfuse has said why on stderr
        raise InvirtError(
            f"{mountpoint} can't be mounted", hint="Is there /dev/fuse, and are you root?"
        ) from error
