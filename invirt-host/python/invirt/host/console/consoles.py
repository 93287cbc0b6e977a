"""The consoles of this host for the console server and the web server, over TLS; before conserver.

conserver itself speaks plainly and to nobody but us: it has a network of its
own, see its unit.  Over TLS it repeats data without end once a reader lags,
and it asks whether a certificate is the authority's, not whose.  So the
peer's name is asked here.  It says which console it wants, in a line:

    NAME WHO MODE       WHO: the machine's number for its own login, spy, or an administrator
                        MODE: attach; force, which takes the keyboard; or look, of the machine's
                        own login, which has no keyboard: nothing that comes from the peer goes on
    NAME NUMBER screen  of the web server alone: see invirt.host.console.screens

The answer is "ok", or "no" and why, in a line; then bytes go both ways.  An
end that TLS calls one is that the user has left (^Ec.); any other, that the
connection was lost.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from invirt.base import certificates
from invirt.host.console import screens
from invirt.host.console.keys import Keys, Output
from invirt.host.console.spool import Queue, Store

LOCAL = "127.0.0.1"
PATIENCE = (
    5.0  # seconds until a peer has said who it is and what it wants, and for each answer of conserver's
)
LAST = 2.0  # seconds for the end of TLS
CHUNK = 65536  # bytes
WAITING = 65536  # bytes of keystrokes that conserver has yet to take
READ, WRITE = select.POLLIN | select.POLLHUP | select.POLLERR, select.POLLOUT
REQUEST = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?) ([a-z0-9][a-z0-9_-]{0,62}) (attach|force|look)\n")
WELCOME = b"[Enter `^Ec?' for help]\r\n"
LOOKING = b"[look on only: `^Ecf' takes the keyboard, `^Ec?' for help]\r\n"
LOOKS = b"[you look on]\r\n"
BEGINNINGS = {"force": b"\x05cf", "look": b"\x05cs", "attach": b""}

Carry = Callable[[], None]


class Refused(Exception):
    """There is no such console for the peer; the text is for the user."""


@dataclass(frozen=True)
class Request:
    """Which console, as whom of conserver's users, and how."""

    console: str
    user: str
    mode: str

    @staticmethod
    def parse(line: str) -> Request:
        """A machine's own login is NAME.NUMBER: another machine of that name has another."""
        match = REQUEST.fullmatch(line)
        if not match:
            raise Refused("that is no request for a console")
        name, who, mode = match[1], match[3], match[4]
        if mode == "look" and not who.isdecimal():
            raise Refused("a look is of a machine's own login")
        return Request(name, f"{name}.{who}" if who.isdecimal() else who, mode)


def read_line(connection: socket.socket) -> str:
    """A line, byte by byte: what follows it is not ours yet.  ConnectionError if none comes."""
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte or len(line) > 400:
            raise ConnectionError("no line")
        line += byte
    return line.decode("ascii", "replace")


def _ask(connection: socket.socket, *lines: str) -> str:
    """conserver's answer to the last of the lines; each has one."""
    answer = read_line(connection)
    for line in lines:
        if answer != "ok\r\n":
            raise Refused(answer.strip())
        connection.sendall(f"{line}\r\n".encode())
        answer = read_line(connection)
    return answer.strip()


def join(request: Request, port: int) -> tuple[socket.socket, bytes]:
    """A connection to the console, and what to greet its user with; Refused, OSError.

    The first process of conserver says at which port the console's own one listens.
    """
    login, call = f"login {request.user}", f"call {request.console}"
    with socket.create_connection((LOCAL, port), PATIENCE) as first:
        its_port = _ask(first, login, call)
    if not its_port.isdecimal():
        raise Refused(its_port)
    console = socket.create_connection((LOCAL, int(its_port)), PATIENCE)
    try:
        console.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        state = _ask(console, login, call)
        if state not in ("[attached]", "[spy]"):
            raise Refused(state)
        console.sendall(b"\x05c;")  # begin
        read_line(console)
        console.sendall(BEGINNINGS[request.mode] + b"\x05cr")  # with the last screen
    except BaseException:
        console.close()
        raise
    if request.mode == "look":
        return console, LOOKS
    return console, WELCOME if state == "[attached]" or request.mode == "force" else LOOKING


class Session:
    """One user on one console.  Never slower than conserver: what the user has yet to take is kept.

    types: whether what comes from the user goes on.
    """

    def __init__(self, peer: ssl.SSLSocket, console: socket.socket, store: Store, types: bool = True) -> None:
        self.types = types
        self.peer, self.console, self.queue = peer, console, Queue(store)
        self.keys, self.output = Keys(), Output()
        self.sending = b""  # on its way; TLS wants it again as it was
        self.typed = b""  # that conserver has yet to take
        self.lost = 0
        self.open = True  # conserver's side

    def go(self) -> None:
        """Until either side ends."""
        for connection in (self.peer, self.console):
            connection.setblocking(False)
        try:
            self._carry()
            if self.keys.left:
                self.peer.settimeout(LAST)
                with suppress(OSError):
                    self.peer.unwrap()
        finally:
            self.queue.close()

    def _carry(self) -> None:
        poll = select.poll()
        peer, console = self.peer.fileno(), self.console.fileno()
        self._from_peer()  # what came with the request's line is in TLS' own buffer
        while self.open or self.sending:
            poll.register(peer, (READ if len(self.typed) < WAITING else 0) | (WRITE if self.sending else 0))
            if self.open:
                poll.register(console, READ | (WRITE if self.typed else 0))
            for ready, event in poll.poll():
                if ready == console and not self._at_console(event):
                    self.open = False
                    poll.unregister(console)
                if ready == peer and event & WRITE:
                    self._send()
                if ready == peer and event & READ and not self._from_peer():
                    return

    def _at_console(self, event: int) -> bool:
        """Carry what conserver says, and what it takes; False when it has ended."""
        try:
            if event & WRITE:
                self.typed = self.typed[self.console.send(self.typed) :]
            if event & READ:
                data = self.console.recv(CHUNK)
                self._show(self.output.plain(data))
                self._type(self.output.answer)
                self.output.answer = b""
                return bool(data)
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def _from_peer(self) -> bool:
        """Carry what the user types; False when they have gone."""
        try:
            while data := self.peer.recv(CHUNK):
                if not self.types:
                    continue
                passed, refused = self.keys.passing(data)
                self._type(passed)
                for letter in refused:
                    shown = chr(letter) if 32 < letter < 127 else "…"
                    self._show(f"[`^Ec{shown}' is not to be had here]\r\n".encode())
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError:
            pass
        return False

    def _type(self, data: bytes) -> None:
        self.typed += data
        if self.typed and self.open:
            with suppress(OSError):  # its end is seen where it is read
                self.typed = self.typed[self.console.send(self.typed) :]

    def _show(self, data: bytes) -> None:
        if self.queue or self.sending:
            self.queue.put(data)
        else:
            self.sending = data
            self._send()

    def _send(self) -> None:
        """As much as the user takes now."""
        try:
            while self.sending:
                self.sending = self.sending[self.peer.send(self.sending) :]
                if not self.sending and self.queue:
                    self.sending = self._missing() + self.queue.get()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.sending, self.open = b"", False

    def _missing(self) -> bytes:
        new, self.lost = self.queue.lost - self.lost, self.queue.lost
        return f"\r\n[{new} bytes were more than are kept for you]\r\n".encode() if new else b""


@dataclass(frozen=True)
class Door:
    """Lets trusted peers in.

    clients: the names of their certificates; viewers: of those that may see screens.
    port: conserver's.  uids: a machine's QEMU runs as that and its number.
    """

    context: ssl.SSLContext
    clients: frozenset[str]
    port: int
    store: Store
    viewers: frozenset[str] = frozenset()
    uids: int = 0

    def serve(self, connection: socket.socket) -> None:
        """One connection, to its end; OSError if it is none of theirs."""
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)
        with self.context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as peer:
            names = certificates.names(peer)
            if not names & self.clients:
                raise PermissionError(f"a certificate for {', '.join(sorted(names))}")
            try:
                joined, greeting, carry = self._join(peer, names)
            except (Refused, OSError) as error:
                peer.sendall(f"no {error or 'answer'}\n".encode())
                return
            with joined:
                peer.sendall(b"ok\n" + greeting)
                carry()

    def _join(self, peer: ssl.SSLSocket, names: frozenset[str]) -> tuple[socket.socket, bytes, Carry]:
        """What the peer asks for, what to greet it with, and what carries it to its end; Refused, OSError."""
        line = read_line(peer)
        number = screens.asked(line)
        if number is None:
            request = Request.parse(line)
            console, greeting = join(request, self.port)
            return console, greeting, Session(peer, console, self.store, types=request.mode != "look").go
        if not names & self.viewers:
            raise Refused("screens are for the web server")
        screen = screens.join(number, self.uids + number)
        return screen, b"", screens.Carrying(peer, screen).go
