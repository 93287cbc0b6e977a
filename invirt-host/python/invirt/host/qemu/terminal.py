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

from invirt.base.errors import Busy, NotFound
from invirt.host.qemu import qmp
from invirt.host.qemu.guest import Guest

LEAVE = b"\x1d"  # ^]
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
            leave = b"" if KEPT in os.environ else LEAVE
            if leave:
                print(f"On the console of {guest.name}; ^] leaves.\r", file=sys.stderr)
            with _raw(sys.stdin.fileno()):
                ended = _join(console, leave)
    print(f"\r\n{guest.name} is off.\r" if ended else "\r", file=sys.stderr)


def _join(console: socket.socket, leave: bytes) -> bool:
    """Carry bytes both ways; True when it was the guest that ended."""
    keys, screen = sys.stdin.fileno(), sys.stdout.fileno()
    while True:
        for ready in select.select([keys, console], [], [])[0]:
            if ready is console:
                data = _heard(console)
                if not data:
                    return True
                _write(screen, data)
                continue
            data = _typed(keys)
            if not data or (leave and leave in data):
                return False
            with suppress(ConnectionError):  # the guest has just ended, as is read next
                console.sendall(data)


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
