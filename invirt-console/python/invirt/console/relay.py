"""The one program on the console server that may reach hosts' consoles, for those who may have them.

It alone reads the key.  A machine's login comes by a socket, and who it is the
kernel says: a login's uid is a machine's number.  It gets that machine's
console and no other.  root may name any machine, and whom it comes as.

A connection is a seat: it counts from its begin to its end, also while the
machine is off.  On it, word goes to and fro, a message each: we say "ok" or
"no" and why; the login says "NAME WHO MODE" (see REQUEST) for a console, and
gets with the "ok" a socket on which the console is; "left" or "lost" says how
it ended.
"""

from __future__ import annotations

import pwd
import re
import select
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from invirt.base import certificates, validate
from invirt.base.names import MachineName

PATIENCE = 5.0  # seconds that a host may take for each answer
CHUNK = 65536  # bytes
WORD = 512  # bytes of a message
REQUEST = re.compile(r"(\S+) ([a-z0-9_-]+) (attach|force)")


class Refused(Exception):
    """No console; the text is for the user."""


@dataclass
class Seats:
    """How many sessions there are; ours and root's are not counted.  each: of a machine; all_: of all."""

    each: int
    all_: int
    taken: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def one(self, machine: int) -> Iterator[None]:
        """A seat for one on the machine; Refused if there is none."""
        with self.lock:
            if self.taken[machine] >= self.each:
                raise Refused(f"{self.each} sessions are on this console already, as many as there may be")
            if self.taken.total() >= self.all_:
                raise Refused(f"{self.all_} sessions are on consoles already; try again later")
            self.taken[machine] += 1
        try:
            yield
        finally:
            with self.lock:
                self.taken[machine] -= 1


@dataclass(frozen=True)
class Relay:
    """Carries logins' bytes to the hosts.

    uids: those of machines.  homes: what invirt-consolefs serves.  port: the
    hosts'.  name_of: the login of a uid; KeyError if there is none.
    """

    context: ssl.SSLContext
    uids: range
    homes: Path
    port: int
    seats: Seats
    name_of: Callable[[int], MachineName] = lambda uid: MachineName(pwd.getpwuid(uid).pw_name)

    def serve(self, control: socket.socket) -> None:
        """One login, until it goes."""
        _, uid, _ = struct.unpack("3i", control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        try:
            if uid == 0:
                self._serve(control, None)
            elif uid in self.uids:
                with self.seats.one(self.uids.index(uid)):
                    self._serve(control, uid)
            else:
                raise Refused("you are no machine")
        except Refused as error:
            control.send(f"no {error}".encode())

    def _serve(self, control: socket.socket, uid: int | None) -> None:
        control.send(b"ok")
        while word := control.recv(WORD):
            try:
                name, who, mode = self._asked(word.decode("ascii", "replace"), uid)
                with self._host(self._where(name), f"{name} {who} {mode}\n") as host:
                    ours, theirs = socket.socketpair()
                    with ours:
                        with theirs:
                            socket.send_fds(control, [b"ok"], [theirs.fileno()])
                        ended = carry(control, ours, host)
                    control.send(ended)
            except (Refused, OSError, KeyError) as error:
                control.send(f"no {error}".encode()[:WORD])

    def _asked(self, word: str, uid: int | None) -> tuple[MachineName, str, str]:
        """Which console, as whom, and how.  What a machine's login says of itself doesn't count."""
        match = REQUEST.fullmatch(word)
        if not match:
            raise Refused("that is no request for a console")
        name, who, mode = match.groups()
        if uid is not None:
            return self.name_of(uid), str(self.uids.index(uid)), mode
        if not validate.passes(name, validate.machine_name):
            raise Refused("that is no machine's name")
        return MachineName(name), who, mode

    def _where(self, name: MachineName) -> str:
        try:
            host = (self.homes / name / "host").read_text().strip()
        except FileNotFoundError:
            raise Refused(f"there is no machine {name}") from None
        if not host:
            raise Refused(f"{name} is off")
        return validate.host_name(host)

    @contextmanager
    def _host(self, host: str, request: str) -> Iterator[ssl.SSLSocket]:
        """A connection to a console on the host, whose certificate must be its own; Refused, OSError."""
        with socket.create_connection((host, self.port), PATIENCE) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
            with self.context.wrap_socket(plain, suppress_ragged_eofs=False) as connection:
                if host not in certificates.names(connection):
                    raise Refused(f"what answers in the place of {host} has no certificate of its name")
                connection.sendall(request.encode())
                answer = _line(connection)
                if answer != "ok":
                    raise Refused(answer.removeprefix("no "))
                yield connection


def _line(connection: ssl.SSLSocket) -> str:
    """A line of the host's, that a terminal may show."""
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte or len(line) > 400:
            raise Refused("the host said nothing")
        line += byte
    return "".join(letter for letter in line.decode("ascii", "replace") if letter.isprintable())


def carry(control: socket.socket, login: socket.socket, host: ssl.SSLSocket) -> bytes:
    """Bytes both ways, none kept here: who lags is waited for.  "left" or "lost"."""
    host.setblocking(False)
    login.setblocking(False)
    up = down = b""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        # What is under way is carried on before more is taken.
        _watch(poll, login, reads=not up, writes=bool(down))
        _watch(poll, host, reads=not down, writes=bool(up))
        waits = not host.pending() or bool(down)  # TLS may have more than the socket
        ready = {descriptor for descriptor, _ in poll.poll()} if waits else {host.fileno()}
        if control.fileno() in ready:
            return b"left"
        try:
            if not up and login.fileno() in ready:
                with suppress(BlockingIOError):
                    up = login.recv(CHUNK)
                    if not up:
                        return b"left"
            if up:
                with suppress(ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    up = up[host.send(up) :]
            if not down and host.fileno() in ready:
                with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    down = host.recv(CHUNK)
                    if not down:
                        return b"left"
            if down:
                with suppress(BlockingIOError):
                    down = down[login.send(down) :]
        except OSError:
            return b"lost"


def _watch(poll: select.poll, connection: socket.socket, *, reads: bool, writes: bool) -> None:
    """Look at a connection for that; not at all if for nothing: its end would be told again and again."""
    events = (select.POLLIN if reads else 0) | (select.POLLOUT if writes else 0)
    if events:
        poll.register(connection, events)
    else:
        with suppress(KeyError):
            poll.unregister(connection)
