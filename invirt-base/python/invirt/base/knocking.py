"""Whether a server's doors answer: a port takes a connection, DNS knows a zone."""

from __future__ import annotations

import secrets
import socket

DEADLINE = 3.0  # seconds
DNS = 53
SOA, IN = 6, 1


def greet(server: str, port: int, greeting: bytes = b"") -> None:
    """Raises OSError unless it takes a connection, and begins with the greeting."""
    with socket.create_connection((server, port), DEADLINE) as connected:
        if greeting and not connected.recv(len(greeting)).startswith(greeting):
            raise OSError("no greeting")


def resolve(server: str, zone: str) -> None:
    """Raises OSError unless the name server knows where the zone begins."""
    number = secrets.token_bytes(2)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in zone.split("."))
    question = number + b"\0\0\0\1\0\0\0\0\0\0" + labels + bytes([0, 0, SOA, 0, IN])
    family, kind, _, _, address = socket.getaddrinfo(server, DNS, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as asked:
        asked.settimeout(DEADLINE)
        asked.connect(address)
        asked.send(question)
        answer = asked.recv(512)
    if answer[:2] != number or answer[3] & 15 or answer[6:8] == b"\0\0":
        raise OSError(f"it doesn't know {zone}")
