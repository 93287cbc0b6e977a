"""nftables that belong to a netlink socket: they end with it, and through no other can they be changed.

A guest's QEMU has its rules' socket open as long as its link.  So has a
process beside it, a keeper, since a QEMU that its guest has taken over could
close its own.  To give a running guest other rules, the keeper's is borrowed.
"""

from __future__ import annotations

import ctypes
import functools
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invirt.base.errors import CommandFailed, NotFound
from invirt.base.process import background

PIDFD_GETFD = 438  # the system call, for which Python has no name; the same number on all machines
NETLINK_NETFILTER = 12


class Nftables:
    """libnftables, with a netlink socket of its own."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libnftables.so.1")
        self.library.nft_ctx_new.restype = ctypes.c_void_p
        self.library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        before = _sockets(os.getpid())
        self.context = ctypes.c_void_p(self.library.nft_ctx_new(0))
        (self.socket,) = _sockets(os.getpid()) - before
        self.library.nft_ctx_buffer_error(self.context)

    def run(self, text: str) -> None:
        """Run commands of nft, all or none; CommandFailed with what nft says."""
        if self.library.nft_run_cmd_from_buffer(self.context, text.encode()) != 0:
            said = self.library.nft_ctx_get_error_buffer(self.context).decode(errors="replace")
            raise CommandFailed("the guest's rules can't be loaded", hint="\n".join(said.splitlines()[:5]))

    def close(self) -> None:
        """Give all of it back, the socket too."""
        self.library.nft_ctx_free(self.context)


@functools.cache
def _own() -> tuple[Nftables, int]:
    """One for all that this process loads, and the keeper of its socket.

    The keeper ends by itself a moment after this process.  It is root's: no
    signal of a QEMU's, which isn't, can end it.
    """
    nft = Nftables()
    os.set_inheritable(nft.socket, True)
    return nft, background(["tail", "--pid", str(os.getpid()), "-f", "/dev/null"], [nft.socket])


def keeper() -> int:
    """The keeper of tables that live as long as this process, or what it executes."""
    return _own()[1]


def load(text: str, keeper: int) -> None:
    """Load tables that keeper is to keep, this process' or another's."""
    if _own.cache_info().currsize and _own()[1] == keeper:
        _own()[0].run(text)
    else:
        change(text, keeper)


def change(text: str, keeper: int) -> None:
    """Run commands of nft on tables that the keeper keeps; NotFound if it has ended."""
    with _borrowed(keeper) as theirs:
        nft = Nftables()
        try:
            os.dup2(theirs.fileno(), nft.socket, inheritable=False)
            nft.run(text)
        finally:
            nft.close()


@contextmanager
def _borrowed(keeper: int) -> Iterator[socket.socket]:
    """The keeper's netlink socket; see pidfd_getfd(2)."""
    try:
        process = os.pidfd_open(keeper)
    except ProcessLookupError as error:
        raise NotFound(f"process {keeper}, which kept a guest's rules, has ended") from error
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        for number in _sockets(keeper):
            descriptor = libc.syscall(PIDFD_GETFD, process, number, 0)
            if descriptor < 0:
                reason = os.strerror(ctypes.get_errno())
                raise CommandFailed(f"can't borrow the socket of process {keeper}: {reason}")
            with socket.socket(fileno=descriptor) as found:
                if found.family == socket.AF_NETLINK and found.proto == NETLINK_NETFILTER:
                    _drain(found)
                    yield found
                    return
        raise NotFound(f"process {keeper} keeps no rules")
    finally:
        os.close(process)


def _drain(found: socket.socket) -> None:
    """Take what answers are left by one who borrowed it before, and was killed."""
    try:
        while found.recv(1 << 16, socket.MSG_DONTWAIT):
            pass
    except OSError:
        pass  # nothing more


def _sockets(pid: int) -> set[int]:
    """The process' open sockets; none of one that has ended."""
    found = set()
    try:
        for path in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if os.readlink(path).startswith("socket:"):
                    found.add(int(path.name))
            except FileNotFoundError:
                continue  # just closed, as the folder itself is
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found
