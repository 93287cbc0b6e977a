"""How long the doors take that users come by: remctl to let in, ssh to greet, DNS to answer."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from invirt import config

DEADLINE = 3.0  # seconds
REMCTL, SSH, DNS = 4373, 22, 53
SOA, IN = 6, 1


def look() -> dict[str, float | None]:
    """The seconds of each door, all at once; None: it didn't answer in DEADLINE."""
    doors: dict[str, Callable[[], None]] = {}
    for server in config.remote.servers or (config.remote.hostname,):
        doors[f"remctl {server}"] = lambda server=server: _greet(server, REMCTL, b"")  # type: ignore[misc]
    if config.console.hostname:
        doors[f"ssh {config.console.hostname}"] = lambda: _greet(config.console.hostname, SSH, b"SSH-")
    for server in config.dns.servers:
        doors[f"dns {server}"] = lambda server=server: _resolve(server)  # type: ignore[misc]
    with ThreadPoolExecutor(len(doors)) as pool:
        return dict(zip(doors, pool.map(_timed, doors.values()), strict=True))


def _timed(knock: Callable[[], None]) -> float | None:
    began = time.monotonic()
    try:
        knock()
    except OSError:
        return None
    return time.monotonic() - began


def _greet(server: str, port: int, greeting: bytes) -> None:
    """Raises OSError unless it takes a connection, and begins with the greeting."""
    with socket.create_connection((server, port), DEADLINE) as connected:
        if greeting and not connected.recv(len(greeting)).startswith(greeting):
            raise OSError("no greeting")


def _resolve(server: str) -> None:
    """Raises OSError unless it knows where the site's zone begins."""
    number = secrets.token_bytes(2)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in config.site.domain.split("."))
    question = number + b"\0\0\0\1\0\0\0\0\0\0" + labels + bytes([0, 0, SOA, 0, IN])
    family, kind, _, _, address = socket.getaddrinfo(server, DNS, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as asked:
        asked.settimeout(DEADLINE)
        asked.connect(address)
        asked.send(question)
        answer = asked.recv(512)
    if answer[:2] != number or answer[3] & 15 or answer[6:8] == b"\0\0":
        raise OSError("no answer")
