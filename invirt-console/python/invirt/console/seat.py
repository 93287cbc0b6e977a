"""A login's place at the relay, and the terminal on the console that it gives."""

from __future__ import annotations

import os
import select
import socket
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path

from invirt.base.errors import Busy, Unreachable

SOCKET = Path("/run/invirt-console/relay")
WORD = 512  # bytes of a message
CHUNK = 65536  # bytes


class Seat:
    """A place at the relay, for as long as this process; see invirt.console.relay."""

    def __init__(self, path: Path = SOCKET) -> None:
        """Busy if all are taken, Unreachable if there is no relay."""
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._control.connect(str(path))
            answer = self._control.recv(WORD).decode()
        except OSError as error:
            raise Unreachable("the console server is not in order", hint="Try again in a minute.") from error
        if answer != "ok":
            raise Busy(answer.removeprefix("no ") or "no answer")

    def join(self, request: str) -> socket.socket:
        """The console; Unreachable, with the reason, when there is none now."""
        try:
            self._control.send(request.encode())
            answer, descriptors, _, _ = socket.recv_fds(self._control, WORD, 1)
        except OSError as error:
            raise Unreachable("the console server is not in order") from error
        if not descriptors:
            raise Unreachable(answer.decode().removeprefix("no "))
        return socket.socket(fileno=descriptors[0])

    def has_left(self) -> bool:
        """Whether the console was left by its user, and not lost."""
        try:
            return self._control.recv(WORD) == b"left"
        except OSError:
            return False


def terminal(console: socket.socket, every: float, may_stay: Callable[[], bool]) -> bool:
    """Join this terminal to the console until it ends; False when may_stay() said no.

    may_stay is asked every so many seconds.
    """
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        return _carry(console, every, may_stay)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _carry(console: socket.socket, every: float, may_stay: Callable[[], bool]) -> bool:
    look = time.monotonic() + every
    while True:
        ready = select.select([0, console.fileno()], [], [], max(0.0, look - time.monotonic()))[0]
        if console.fileno() in ready:
            data = console.recv(CHUNK)
            if not data:
                return True
            _write(data)
        if 0 in ready:
            typed = os.read(0, CHUNK)
            if not typed:
                console.shutdown(socket.SHUT_WR)
                return True
            console.sendall(typed)
        if time.monotonic() >= look:
            if not may_stay():
                return False
            look = time.monotonic() + every


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
