"""QEMU's machine protocol over its unix socket: as much of it as a host needs.

A QEMU may have been taken over by its guest: its answers are read with suspicion.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from pathlib import Path
from typing import Any

from invirt.base.errors import CommandFailed, NotFound, Unreachable
from invirt.base.log import one_line

LONGEST = 1 << 20  # bytes of one line of QEMU's


class Qmp:
    """One conversation; use it as a context manager.

    NotFound when no QEMU listens there, Unreachable when it doesn't answer
    within timeout seconds or not as QEMU does, CommandFailed when it says no.
    """

    def __init__(self, path: Path, timeout: float = 5) -> None:
        self.path = path
        self.timeout = timeout

    def __enter__(self) -> Qmp:
        self.socket = connect(self.path, self.timeout)
        self.lines = self.socket.makefile("rwb")
        self._read()
        self("qmp_capabilities")
        return self

    def __exit__(self, *_: object) -> None:
        self.lines.close()
        self.socket.close()

    def hand(self, name: str, descriptor: int) -> None:
        """Give QEMU an open file, which commands then call by name."""
        socket.send_fds(self.socket, [b" "], [descriptor])  # it is kept for the command that comes next
        self("getfd", fdname=name)

    def __call__(self, command: str, **arguments: Any) -> Any:
        """Run command and return its answer."""
        question = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            answer = self._read(question)
            question = b""
            if "error" in answer:
                raise CommandFailed(f"QEMU refused {command}: {_reason(answer['error'])}")
            if "return" in answer:
                return answer["return"]
        raise Unreachable(f"QEMU at {self.path} says much, but doesn't answer")

    def status(self) -> str:
        """QEMU's word for what the guest does: running, paused, shutdown …"""
        found = self("query-status")
        if isinstance(found, dict) and isinstance(found.get("status"), str):
            return str(found["status"])
        raise self._nonsense()

    def _read(self, question: bytes = b"") -> dict[str, Any]:
        """The next line of QEMU, after question; events come between."""
        try:
            self.lines.write(question)
            self.lines.flush()
            line = self.lines.readline(LONGEST)
        except TimeoutError as error:
            raise Unreachable(f"QEMU at {self.path} doesn't answer") from error
        except ConnectionError:
            line = b""
        if not line:
            raise NotFound(f"the guest at {self.path} has just ended")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._nonsense() from error
        if not isinstance(answer, dict):
            raise self._nonsense()
        return answer

    def _nonsense(self) -> Unreachable:
        return Unreachable(f"QEMU at {self.path} answers, but not as QEMU does")


def _reason(error: object) -> str:
    """What QEMU gives as its reason, in one line."""
    reason = error.get("desc") if isinstance(error, dict) else error
    return one_line(str(reason))


def connect(path: Path, timeout: float) -> socket.socket:
    """Connect to a socket of QEMU, which talks to one at a time and lets one more wait."""
    deadline = time.monotonic() + timeout
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
            return connection
        except (FileNotFoundError, ConnectionError) as error:
            connection.close()
            raise NotFound(f"no guest runs at {path}") from error
        except BlockingIOError:
            connection.close()
            if time.monotonic() > deadline:
                raise Unreachable(f"QEMU at {path} is busy with others") from None
            time.sleep(0.02)


def pid(path: Path) -> int | None:
    """The process that listens at a socket of QEMU, None if none does."""
    try:
        with connect(path, 2) as asking:
            return peer(asking)
    except NotFound:
        return None


def peer(connected: socket.socket) -> int:
    """The process at the other end of a socket: the one that listened there."""
    size = struct.calcsize("3i")
    return int(struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0])
