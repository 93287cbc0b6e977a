"""Connections of a service: so many at once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from invirt.base import listening

DEADLINE = 10.0


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where a service listens that says "in" to two at once, and is done with each by an error."""

    def carry(connection: socket.socket) -> None:
        connection.sendall(b"in")
        connection.recv(1)
        raise ConnectionError("it went")

    def serve() -> None:
        with suppress(OSError):  # the test's end
            listening.serve("test", carry, 2, bound.fileno())

    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        bound.listen()
        serving = threading.Thread(target=serve)
        serving.start()
        yield tmp_path / "socket"
        bound.shutdown(socket.SHUT_RDWR)
        serving.join(DEADLINE)
        bound.detach()  # closed by the service
        assert not serving.is_alive()


def test_so_many_at_once_and_the_next_waits(path: Path) -> None:
    with ExitStack() as opened:
        clients = [opened.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(4)]
        for client in clients:
            client.settimeout(DEADLINE)
            client.connect(str(path))
        assert [client.recv(2) for client in clients[:2]] == [b"in"] * 2
        clients[2].settimeout(0.2)
        with pytest.raises(TimeoutError):
            clients[2].recv(2)
        clients[2].settimeout(DEADLINE)
        for gone, waiting in ((0, 2), (1, 3)):
            clients[gone].close()
            assert clients[waiting].recv(2) == b"in"
