"""One worker of invirt.base.warm: it waits for a command, does it and ends.

What it is sent, by a caller that the service gives it, after it has greeted: the
length in 4 bytes with three streams and the end of a pipe beside it, then texts with a NUL between them:
the number of words, the working folder, the words (the program first), and the
environment.  It answers with the exit code in one byte, or, if it did nothing,
with two.  When the caller goes away, and with it the pipe's other end, the kernel ends
the worker, and what it has started, by SIGTERM, as systemd does to all processes of a
connection.  Not by the socket: word of what came by that may come after it was read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from invirt.base import log
from invirt.base.errors import InvirtError

LIFE = 300.0  # seconds that a worker waits at the longest
UNSIGNED = 5.0  # the same of one that couldn't sign on
PATIENCE = 5.0  # seconds in which a caller must have said all
LONGEST = 4 << 20  # bytes of a command: twice what the kernel lets one have
at_work: list[str] = []  # in a worker the program that it does for its caller
GREETING, REFUSED = b"!", b"no"
SIGNED_ON, TAKEN = b"s", b"t"  # how a worker stands: the first it tells the service itself

# What counts for work that is done ahead: a caller with other values is not served.
SETTINGS = ("INVIRT_CONFIG", "KRB5_CONFIG", "KRB5_CLIENT_KTNAME", "KRB5CCNAME")


class SignedOn(Protocol):
    """A connection to the database that was made ahead.  seconds: for which it may be used."""

    seconds: float

    def fileno(self) -> int:
        """That can be read when something has happened to it."""

    def is_alive(self) -> bool:
        """Whether the database answers."""

    def leave(self) -> None:
        """Sign off: nobody wants it."""


@dataclass(frozen=True)
class Role:
    """A role's workers.

    programs: what each does, by its name; it finds its arguments in sys.argv and
    returns its exit code.  sign_on: raises InvirtError; such a worker then lets its
    program sign on by itself.  spare: workers that wait.  practise: see invirt.base.warm;
    signed on.
    """

    name: str
    programs: Mapping[str, Callable[[], int]]
    sign_on: Callable[[], SignedOn]
    spare: int
    practise: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Request:
    """What is to be done: words are the program and its arguments; line: see above."""

    folder: str
    words: list[str]
    environment: dict[str, str]
    line: int


def work(role: Role, have_changed: Callable[[], bool], told: socket.socket) -> NoReturn:
    """Be a worker, in a process of its own.

    have_changed: whether what it is made of has.  told: where the service hears how it stands,
    and gives it its caller.
    """
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()  # a group of its own, which ends as a whole
        own = _settings(os.environ)
        signed_on = _sign_on(role)
        told.send(SIGNED_ON)
        caller = _caller(told, signed_on)
        if _is_ours(caller) and not have_changed() and (signed_on is None or signed_on.is_alive()):
            caller.send(GREETING)
            _serve(role, caller, own)
    except Exception as error:
        log.bug(error, program=f"invirt-{role.name}-warm")
    finally:
        os._exit(1)


def _sign_on(role: Role) -> SignedOn | None:
    """None: the program tries it itself, and tells what is wrong."""
    try:
        return role.sign_on()
    except InvirtError:
        return None


def _caller(told: socket.socket, signed_on: SignedOn | None) -> socket.socket:
    """Wait to be given one; ends when the service does, when the connection is lost, and in time."""
    seconds = min(LIFE + os.getpid() % 60, signed_on.seconds) if signed_on else UNSIGNED
    others = [signed_on.fileno()] if signed_on else []
    readable = select.select([told.fileno(), *others], [], [], seconds)[0]  # not all at the same time
    if readable == [told.fileno()]:
        _, given, _, _ = socket.recv_fds(told, 1, 1)
        if given:
            return socket.socket(fileno=given[0])
    os._exit(0)


def apart(do: Callable[[], int], kept: Collection[int]) -> int:
    """Have it done by a copy of this process that goes on when this one, its caller or the service ends.

    kept: those of our open files, beyond what it imported, that it has alone from now on.  Returns its pid.
    """
    if pid := os.fork():
        with contextlib.suppress(ProcessLookupError):
            os.setpgid(pid, pid)  # it is not of the group that ends with the caller, see _go_with()
        return pid
    try:
        os.setpgid(0, 0)  # whoever comes first
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        first = 3
        for descriptor in (*sorted(kept), os.sysconf("SC_OPEN_MAX")):
            os.closerange(first, descriptor)
            first = descriptor + 1
        os._exit(_run(do))
    finally:
        os._exit(1)


def _is_ours(caller: socket.socket) -> bool:
    """Whether it is a process of this one's user, which is root."""
    credentials = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", credentials)[1] == os.geteuid())


def _settings(environment: Mapping[str, str]) -> list[str | None]:
    return [environment.get(name) for name in SETTINGS]


def _serve(role: Role, caller: socket.socket, own: list[str | None]) -> None:
    """Do what the caller asks for, if it is one of the role's programs."""
    request = _request(caller)
    program = role.programs.get(Path(request.words[0]).name)
    if program is None or _settings(request.environment) != own or not _entered(request.folder):
        caller.send(REFUSED)
        return
    at_work.append(request.words[0])
    caller.setblocking(True)
    _go_with(request.line)
    sys.argv = request.words
    os.environ.clear()
    os.environ.update(request.environment)
    code = _run(program)
    caller.send(bytes([code & 255]))
    os._exit(code)


def _entered(folder: str) -> bool:
    try:
        os.chdir(folder)
    except OSError:
        return False
    return True


def _request(caller: socket.socket) -> Request:
    """What the caller says, whose streams are ours from now on; raises for what is none."""
    caller.settimeout(PATIENCE)
    head, passed, _, _ = socket.recv_fds(caller, 4, 4)
    length = int.from_bytes(head, "big")
    if len(head) != 4 or len(passed) != 4 or length > LONGEST:
        raise ValueError("no request")
    said = bytearray()
    while len(said) < length:
        if not (more := caller.recv(length - len(said))):
            raise ValueError("cut off")
        said += more
    number, folder, *texts = os.fsdecode(bytes(said)).split("\0")
    words, setting = texts[: int(number)], texts[int(number) :]
    *streams, line = passed
    request = Request(folder, words, dict(one.split("=", 1) for one in setting), line)
    os.set_inheritable(line, False)
    for stream, received in enumerate(streams):
        os.dup2(received, stream)
        os.close(received)
    return request


def _go_with(line: int) -> None:
    """From now on the kernel ends this process and its children by SIGTERM when the caller is gone."""
    fcntl.fcntl(line, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(line, fcntl.F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(line, fcntl.F_SETFL, fcntl.fcntl(line, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([line], [], [], 0)[0]:  # it was gone already
        os._exit(1)


def _run(program: Callable[[], int]) -> int:
    """Its exit code, as if it were a process of its own."""
    code: object = 1
    try:
        code = program()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    with contextlib.suppress(OSError):  # nobody reads it any more
        sys.stdout.flush()
        sys.stderr.flush()
    return code if isinstance(code, int) else 1
