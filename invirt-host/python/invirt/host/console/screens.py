"""The screens of this host's guests, for the web server: bytes to QEMU's VNC and back.

VNC is drawn by who looks: a viewer that takes nothing asks for nothing, and QEMU
bounds what it keeps for one.  So at most a piece each way is kept here, and a
slow viewer holds up itself alone.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass

from invirt.host import paths

PATIENCE = 5.0  # seconds for QEMU to take a connection
PIECE = 65536  # bytes
REQUEST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])? ([1-9][0-9]{0,8}) screen\n")
CREDENTIALS = "3i"  # pid, uid, gid: SO_PEERCRED in unix(7)


def asked(line: str) -> int | None:
    """The number of the machine whose screen the request is for; None for another request."""
    match = REQUEST.fullmatch(line)
    return int(match[2]) if match else None


def join(number: int, uid: int) -> socket.socket:
    """A connection to the machine's VNC; OSError, with words for the user, where there is none.

    uid: of its QEMU.  One that was taken over may have made a link to another socket there.  Where it could
    not, since the folder is root's alone, Xen's is root's.
    """
    made = socket.socket(socket.AF_UNIX)
    try:
        made.settimeout(PATIENCE)
        try:
            made.connect(str(paths.screen(number)))
            theirs = paths.screen(number).parent.stat().st_mode & stat.S_IWOTH
        except OSError as error:
            raise OSError("the machine shows no screen here now") from error
        size = struct.calcsize(CREDENTIALS)
        _, owner, _ = struct.unpack(CREDENTIALS, made.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        if owner != (uid if theirs else 0):
            raise OSError("what is in the place of the machine's screen is not its own")
    except BaseException:
        made.close()
        raise
    return made


@dataclass
class Carrying:
    """One viewer on one screen."""

    peer: ssl.SSLSocket
    screen: socket.socket
    shown: bytes = b""  # that the viewer has yet to take; TLS wants it again as it was
    typed: bytes = b""  # that QEMU has yet to take

    def go(self) -> None:
        """Until either side ends; what QEMU said before its end is given to the viewer first."""
        for connection in (self.peer, self.screen):
            connection.setblocking(False)
        with suppress(OSError):
            while self._carried():
                self._wait()

    def _carried(self) -> bool:
        """Carry what can be carried now; False at an end."""
        if not self.typed and (typed := _taken(self.peer)) is not None:
            if not typed:
                return False
            self.typed = typed
        self.typed = _left(self.screen, self.typed)
        if not self.shown and (shown := _taken(self.screen)) is not None:
            if not shown:
                return False
            self.shown = shown
        self.shown = _left(self.peer, self.shown)
        return True

    def _wait(self) -> None:
        """Who says more than the other takes is not listened to meanwhile."""
        poll = select.poll()
        for connection, kept, said in (
            (self.peer, self.shown, self.typed),
            (self.screen, self.typed, self.shown),
        ):
            if wanted := (select.POLLOUT if kept else 0) | (0 if said else select.POLLIN):
                poll.register(connection, wanted)
        poll.poll()


def _taken(connection: socket.socket) -> bytes | None:
    """What a side says now: None for nothing yet, and nothing at its end."""
    try:
        return connection.recv(PIECE)
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return None


def _left(connection: socket.socket, data: bytes) -> bytes:
    """What a side has yet to take of the data."""
    try:
        return data[connection.send(data) :] if data else data
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return data
