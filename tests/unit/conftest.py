"""Unit tests start no child process and reach no network; a test that must is marked `children`."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

CHILDREN = {
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.forkpty",
    "pty.spawn",
}
watched: list[str] = []  # the test that is running, if it may not


def watch(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook (PEP 578): it sees what Python does, however it is done."""
    if not watched:
        return
    if event in CHILDREN:
        raise AssertionError(f"a unit test may not start a child process: {event} {args[:2]}")
    if event in ("socket.connect", "socket.bind") and args[0].family != socket.AF_UNIX:
        raise AssertionError(f"a unit test may not use the network: {event} {args[1:]}")


sys.addaudithook(watch)


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Forbids child processes and the network, unless the test is marked `children`."""
    if request.node.get_closest_marker("children") is None:
        watched.append(request.node.nodeid)
    yield
    watched.clear()
