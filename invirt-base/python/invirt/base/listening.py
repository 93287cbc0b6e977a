"""Connections on the socket that systemd passes to a service, a thread each."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from invirt.base import log

PASSED = 3  # the file descriptor: sd_listen_fds(3)


def serve(program: str, carry: Callable[[socket.socket], None], most: int, descriptor: int = PASSED) -> None:
    """Carry each connection to its end, so many at once; the next waits.  An OSError is logged."""
    places = threading.BoundedSemaphore(most)

    def one(connection: socket.socket) -> None:
        try:
            with connection:
                carry(connection)
        except OSError as error:
            log.write(f"a connection was lost or turned away: {error}", log.WARNING, program=program)
        finally:
            places.release()

    with socket.socket(fileno=descriptor) as listening:
        while True:
            places.acquire()
            threading.Thread(target=one, args=(listening.accept()[0],), daemon=True).start()
