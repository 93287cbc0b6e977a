"""A guest's serial console in conserver's hands: what runs beside each guest, for as long as that does.

It is begun while its guest boots, and the guest must not wait for it: so it imports
hardly more than Python has built in.
"""

from __future__ import annotations

import fcntl
import os
import select
import sys
import tty
from _socket import AF_UNIX, socket

BREAK = b"\xff\xf3\xff\xf3"  # conserver's word for ^Ecl0, see invirt-host.cf: nothing that text has in it
REST = 0.05  # seconds for the rest of a break that was begun
USER, CONSOLE = "console.user", "console"  # in a guest's folder; who is there has the first one's lock
FULL = 65536  # bytes at a time


def main() -> int:
    """`console FOLDER`, that of a guest: join stdin and stdout to its serial console until it ends.

    Returns 1 when the guest is off, or somebody else is on its console.
    """
    folder, console = sys.argv[1], socket(AF_UNIX)
    try:
        os.chdir(folder)  # a socket's name can't be long
        user = os.open(USER, os.O_WRONLY | os.O_CREAT, 0o600)
        fcntl.flock(user, fcntl.LOCK_EX | fcntl.LOCK_NB)
        console.connect(CONSOLE)
    except OSError:
        return 1
    if os.isatty(0):
        tty.setraw(0)
    join(console, Breaks(console))
    os.write(1, f"\r\n{os.path.basename(folder)} is off.\r\n".encode())
    return 0


class Keys:
    """What is done with what a user types: all is the guest's.

    rest: seconds without a key until typed() is given nothing, None for never.
    """

    rest: float | None = None

    def __init__(self, console: socket) -> None:
        self.console = console

    def typed(self, data: bytes) -> bool:
        """Type it; returns whether to go on."""
        send(self.console, data)
        return True


class Breaks(Keys):
    """The same, with breaks among it."""

    def __init__(self, console: socket) -> None:
        super().__init__(console)
        self.begun = b""

    def typed(self, data: bytes) -> bool:
        """See Keys."""
        first, *others = self.split(data)
        send(self.console, first)
        for text in others:
            _break()
            send(self.console, text)
        self.rest = REST if self.begun else None
        return True

    def split(self, data: bytes) -> list[bytes]:
        """What was typed, between breaks; what may be the beginning of one waits for more data."""
        *typed, rest = (self.begun + data).split(BREAK)
        lengths = range(len(BREAK) - 1 if data else 0, -1, -1)
        self.begun = next(BREAK[:length] for length in lengths if rest.endswith(BREAK[:length]))
        return [*typed, rest.removesuffix(self.begun)]


def join(console: socket, keys: Keys) -> bool:
    """Carry bytes both ways between it and stdin and stdout; True when it was the guest that ended."""
    while True:
        found = select.select([0, console.fileno()], [], [], keys.rest)[0]
        if not found:
            keys.typed(b"")
        if console.fileno() in found:
            data = _heard(console)
            if not data:
                return True
            _write(data)
        if 0 in found:
            data = _typed()
            if not data or not keys.typed(data):
                return False


def send(console: socket, data: bytes) -> bool:
    """Type it; False if the guest has just ended, as is read next."""
    try:
        console.sendall(data)
    except ConnectionError:
        return False
    return True


def _break() -> None:
    """A break on the guest's serial line; none where QEMU doesn't obey."""
    from pathlib import Path

    from invirt.base.errors import InvirtError
    from invirt.host.qemu import qmp

    try:
        with qmp.Qmp(Path("qmp")) as control:
            control("chardev-send-break", id="console")
    except InvirtError:
        pass


def _heard(console: socket) -> bytes:
    """What the guest says; nothing at its end, also if it left unread what was typed."""
    try:
        return console.recv(FULL)
    except ConnectionError:
        return b""


def _typed() -> bytes:
    """What the user types; nothing at the end, also of a terminal that was closed."""
    try:
        return os.read(0, FULL)
    except OSError:
        return b""


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
