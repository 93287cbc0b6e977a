"""A varlink server for one service: each message is answered by a function."""

from __future__ import annotations

import os
import socket
import socketserver
from collections.abc import Callable
from pathlib import Path

from invirt.base.listening import PASSED

LONGEST = 64 * 1024  # bytes of a message
IDLE = 60.0  # seconds until a connection that asks nothing is closed

Answer = Callable[[bytes], bytes]


class _Connection(socketserver.StreamRequestHandler):
    timeout = IDLE
    server: Server

    def handle(self) -> None:
        """Messages one after the other, until the other side closes."""
        waiting = b""
        try:
            while data := self.connection.recv(4096):
                waiting += data
                while b"\0" in waiting:
                    message, _, waiting = waiting.partition(b"\0")
                    self.connection.sendall(self.server.answer(message) + b"\0")
                if len(waiting) > LONGEST:
                    return
        except (TimeoutError, ConnectionError):
            return


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens at path, or on the socket that systemd has passed; a thread a connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path, answer: Answer) -> None:
        self.answer = answer
        given = os.environ.get("LISTEN_FDS") == "1" and os.environ.get("LISTEN_PID") == str(os.getpid())
        super().__init__(str(path), _Connection, bind_and_activate=not given)
        if given:
            self.socket.close()
            self.socket = socket.socket(fileno=PASSED)

    def server_bind(self) -> None:
        """Take the place of what a killed run has left."""
        path = Path(str(self.server_address))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        super().server_bind()
        path.chmod(0o666)
