"""A guest's serial console, as administrators see it, and as users do: over ssh."""

from __future__ import annotations

import os
import pty
import secrets
import select
import signal
import subprocess
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from invirt.base.errors import InvirtError, NotFound
from invirt_lab import cluster
from invirt_lab.site import CONSOLE, HOSTS, SERVERS

LEAVE = b"\x05c."  # what leaves a console
# Until it was on the console, or its terminal is gone.
_JOIN = 'until console -f "$0"; do sleep 0.3; [ -t 0 ] || exit; done'


def host_of(machine: str) -> str | None:
    """The host on which the machine runs, asked of the hosts that are up; None if it is off."""
    for name in (*HOSTS, *cluster.elsewhere):
        with suppress(NotFound):
            if f"d_{machine}" in cluster.on(name, "xm", "list").stdout.split():
                return name
    return None


@contextmanager
def _joined(machine: str) -> Iterator[int]:
    """A terminal on which an administrator writes to the machine's console.

    The host's conserver learns of a machine a moment after it was booted.
    """
    if host_of(machine) is None:
        raise InvirtError(f"{machine} runs on no host")
    join = ["sh", "-c", _JOIN, machine]
    with on_terminal(cluster.command_on(CONSOLE, join)) as terminal:
        yield terminal


@contextmanager
def over_ssh(user: str, machine: str, server: str = CONSOLE) -> Iterator[int]:
    """A terminal on which a user's ssh, from the client, leads to the machine's console."""
    with on_terminal(cluster.command_as(user, ["ssh", f"{machine}@{SERVERS[server].fqdn}"])) as terminal:
        yield terminal


@contextmanager
def on_terminal(command: list[str], raw: bool = False) -> Iterator[int]:
    """A terminal on which a command of this machine runs; raw: it never echoes by itself."""
    ours, theirs = pty.openpty()
    if raw:
        tty.setraw(theirs, termios.TCSANOW)
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        yield ours
    finally:
        os.killpg(child.pid, signal.SIGKILL)  # what it began there, too: its ssh would keep the keyboard
        child.wait()
        os.close(ours)


def greeting() -> tuple[str, str]:
    """What to type at a guest's shell until it answers, and the answer; an older prompt says nothing.

    What is typed at a guest that boots may be lost in part, so it has no quotes.
    """
    word = secrets.token_hex(4)
    return f"echo here $#.{word}", f"here 0.{word}"


def _await_shell(terminal: int, deadline: float) -> None:
    """Until the guest's shell takes commands, and has done all before."""
    words, answer = greeting()
    typed = f"\n{words}\n".encode()
    os.write(terminal, typed)
    _read_until(terminal, answer, deadline, typed)


def _read_until(terminal: int, wanted: str, deadline: float, typed: bytes = b"\n") -> str:
    """What the terminal shows up to wanted; typed is sent again after each second of silence."""
    seen = ""
    while wanted not in seen:
        if time.monotonic() > deadline:
            raise InvirtError(f"no {wanted!r} on the serial console in time", hint=seen[-500:])
        readable, _, _ = select.select([terminal], [], [], 1)
        if readable:
            seen += _read(terminal)
        else:
            os.write(terminal, typed)
    return seen


def _await_end(terminal: int, deadline: float) -> None:
    """Until the program on the terminal has ended."""
    with suppress(OSError):  # the other side hung up
        while (left := deadline - time.monotonic()) > 0:
            if select.select([terminal], [], [], left)[0] and not os.read(terminal, 65536):
                return
        raise InvirtError("the serial console isn't left in time")


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 65536).decode(errors="replace")
    except OSError as error:  # the other side hung up
        raise InvirtError("the serial console was closed") from error


def wait_for_prompt(machine: str, timeout: float = 120) -> None:
    """Return when the guest's shell answers on its console; raises InvirtError after timeout seconds."""
    with _joined(machine) as terminal:
        _await_shell(terminal, time.monotonic() + timeout)


def ask(machine: str, command: str, timeout: float = 120) -> str:
    """Run a command in the guest's shell, on its serial console; returns what it printed."""
    with _joined(machine) as terminal:
        return _said(terminal, command, time.monotonic() + timeout)


def ask_over_ssh(user: str, machine: str, command: str, timeout: float = 120, server: str = CONSOLE) -> str:
    """The same by a user's ssh, who then leaves the console (^Ec.), so that the next has the keyboard."""
    deadline = time.monotonic() + timeout
    with over_ssh(user, machine, server) as terminal:
        said = _said(terminal, command, deadline)
        os.write(terminal, LEAVE)
        _await_end(terminal, deadline)
        return said


def log_in(user: str, machine: str, password: str, command: str, timeout: float) -> str:
    """Log in as root by a user's ssh to a system that boots, and do something; what that printed."""
    deadline = time.monotonic() + timeout
    with over_ssh(user, machine) as terminal:
        for wanted, typed in ((f"{machine} login: ", "root"), ("Password: ", password)):
            _read_until(terminal, wanted, deadline, b"")
            os.write(terminal, f"{typed}\n".encode())
        _read_until(terminal, f"root@{machine}:", deadline, b"")
        said = _said(terminal, command, deadline)
        os.write(terminal, LEAVE)
        _await_end(terminal, deadline)
        return said


def type_there(terminal: int, command: str, timeout: float = 120) -> str:
    """Have the guest's shell on an open terminal do something; all that the terminal shows till then."""
    deadline = time.monotonic() + timeout
    words, answer = greeting()
    seen = _read_until(terminal, answer, deadline, f"\n{words}\n".encode())
    os.write(terminal, f"{command}; echo done-$((6*7))\n".encode())
    return seen + _read_until(terminal, "done-42", deadline)


def _said(terminal: int, command: str, deadline: float) -> str:
    _await_shell(terminal, deadline)
    os.write(terminal, f"{command}; echo done-$((6*7))\n".encode())
    said = _read_until(terminal, "done-42", deadline).replace("\r", "")
    return said.rsplit("$((6*7))\n", 1)[-1].rsplit("done-42", 1)[0]
