"""This terminal on a guest's serial console."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from invirt.base.errors import Busy, InvirtError, NotFound
from invirt.host.qemu import qmp
from invirt.host.qemu.guest import Guest

LEAVE = b"\x1d"  # ^]
BREAK = b"\xff\xf3\xff\xf3"  # conserver's word for ^Ecl0, see invirt-host.cf: nothing that text has in it
REST = 0.05  # seconds for the rest of a break that was begun
KEPT = "INVIRT_CONSOLE_KEPT"  # set by who keeps the console for others, whose keys are all the guest's


def attach(guest: Guest) -> None:
    """Join stdin and stdout to the console until ^], the end of stdin, or the guest's.

    NotFound when the guest is off, Busy when somebody is there already.
    """
    if not guest.running():
        raise NotFound(f"{guest.name} is off", hint="It has a console when it runs.")
    with guest.console.with_name("console.user").open("a") as user:
        try:
            fcntl.flock(user, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                f"somebody else is on the console of {guest.name}", hint="Let them leave it."
            ) from None
        with qmp.connect(guest.console, 5) as console:
            console.setblocking(True)
            kept = KEPT in os.environ
            with _raw(sys.stdin.fileno()):
                if not kept:
                    print(f"On the console of {guest.name}; ^] leaves.\r", file=sys.stderr)
                ended = _join(guest, console, kept)
    print(f"\r\n{guest.name} is off.\r" if ended else "\r", file=sys.stderr)


class Breaks:
    """Tells breaks from what was typed."""

    def __init__(self) -> None:
        self.begun = b""

    def split(self, data: bytes) -> list[bytes]:
        """What was typed, between breaks; what may be the beginning of one waits for more data."""
        *typed, rest = (self.begun + data).split(BREAK)
        lengths = range(len(BREAK) - 1 if data else 0, -1, -1)
        self.begun = next(BREAK[:length] for length in lengths if rest.endswith(BREAK[:length]))
        return [*typed, rest.removesuffix(self.begun)]


def _join(guest: Guest, console: socket.socket, kept: bool) -> bool:
    """Carry bytes both ways; True when it was the guest that ended."""
    keys, screen = sys.stdin.fileno(), sys.stdout.fileno()
    breaks = Breaks()
    while True:
        found = select.select([keys, console], [], [], REST if breaks.begun else None)[0]
        if not found:
            _type(console, *breaks.split(b""))
        for ready in found:
            if ready is console:
                data = _heard(console)
                if not data:
                    return True
                _write(screen, data)
                continue
            data = _typed(keys)
            if not data or (not kept and LEAVE in data):
                return False
            first, *others = breaks.split(data) if kept else [data]
            _type(console, first)
            for typed in others:
                _break(guest)
                _type(console, typed)


def _type(console: socket.socket, data: bytes) -> None:
    with suppress(ConnectionError):  # the guest has just ended, as is read next
        console.sendall(data)


def _break(guest: Guest) -> None:
    """A break on the guest's serial line; none where QEMU doesn't obey."""
    with suppress(InvirtError), qmp.Qmp(guest.qmp) as control:
        control("chardev-send-break", id="console")


def _heard(console: socket.socket) -> bytes:
    """What the guest says; nothing at its end, also if it left unread what was typed."""
    try:
        return console.recv(4096)
    except ConnectionError:
        return b""


def _typed(keys: int) -> bytes:
    """What the user types; nothing at the end, also of a terminal that was closed."""
    try:
        return os.read(keys, 4096)
    except OSError:
        return b""


def _write(screen: int, data: bytes) -> None:
    while data:
        data = data[os.write(screen, data) :]


@contextmanager
def _raw(keys: int) -> Iterator[None]:
    """The terminal as the guest wants it, and as it was afterwards."""
    if not os.isatty(keys):
        yield
        return
    before = termios.tcgetattr(keys)
    tty.setraw(keys)
    try:
        yield
    finally:
        with suppress(termios.error):  # closed meanwhile
            termios.tcsetattr(keys, termios.TCSADRAIN, before)
