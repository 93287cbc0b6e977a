"""Between two hosts: TLS with their certificates, and frames of a kind and a length.

The other side may have been taken over: how much it may say at once is bounded, and each wait is.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import lz4.block

from invirt import config
from invirt.base import certificates
from invirt.base.errors import CommandFailed, Denied, Unreachable
from invirt.base.log import one_line
from invirt.host.protocols import PIECE as MOST

PATIENCE = 20.0  # seconds of silence, then the other side counts as gone
LONGEST = 1 << 20  # bytes of a frame
WAITING = 1 << 18  # bytes that either side's kernel keeps: a guest stands still until the last are read
HEAD = struct.Struct("!cI")
ABOUT, LOG, MEMORY, END, GO, YES, NO, DISK, PIECE = (bytes([letter]) for letter in b"ALMEGYNDP")
PACKED = b"Z"  # MEMORY, as lz4 has it


class Wire:
    """A connection to another host whose name is known; use it as a context manager."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        connection.settimeout(PATIENCE)
        self.connection = connection

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def send(self, kind: bytes, content: bytes = b"") -> None:
        """One frame, of at most LONGEST bytes."""
        with _silence():
            self.connection.sendall(HEAD.pack(kind, len(content)) + content)

    def pack(self, content: bytes) -> None:
        """One frame of MEMORY, of at most MOST bytes, as short as that is had quickly."""
        packed = lz4.block.compress(content, store_size=False)
        shorter = len(packed) < len(content)
        self.send(*((PACKED, packed) if shorter else (MEMORY, content)))

    def tell(self, kind: bytes, content: dict[str, Any]) -> None:
        """One frame of JSON."""
        self.send(kind, json.dumps(content).encode())

    def read(self, *kinds: bytes) -> tuple[bytes, bytes]:
        """The next frame, which must be of one of these kinds; raises why the other side said no."""
        with _silence():
            kind, length = HEAD.unpack(self._exactly(HEAD.size))
            if length > LONGEST:
                raise Unreachable("the other host sends what is no frame")
            content = self._exactly(length)
        if kind == PACKED:
            kind, content = MEMORY, _unpacked(content)
        if kind == NO:
            raise CommandFailed(f"the other host refuses it: {one_line(content.decode(errors='replace'))}")
        if kind not in kinds:
            raise Unreachable("the other host says what it wasn't asked")
        return kind, content

    def heed(self) -> None:
        """Raises why the other side has said no meanwhile, if it has."""
        if self.connection.pending() or select.select([self.connection], [], [], 0)[0]:
            self.read()

    def drain(self) -> None:
        """Take in what the other side still sends, for a while: else it doesn't read why we said no."""
        deadline = time.monotonic() + PATIENCE
        with suppress(OSError):
            while time.monotonic() < deadline and self.connection.recv(1 << 16):
                pass

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length:
            part = self.connection.recv(min(length, 1 << 16))
            if not part:
                raise ConnectionError("it ended")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


def _unpacked(content: bytes) -> bytes:
    """At most MOST bytes, whatever they claim to be."""
    try:
        found: bytes = lz4.block.decompress(content, uncompressed_size=MOST)
    except lz4.block.LZ4BlockError as error:
        raise Unreachable("the other host sends what is no frame") from error
    return found


@contextmanager
def _silence() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unreachable(f"the connection to the other host is lost: {error}") from error


def call(hostname: str) -> Wire:
    """To the host of that name; Denied if another one answers, Unreachable if none does."""
    try:
        plain = socket.create_connection((hostname, config.hypervisor.move_port), PATIENCE)
        _hurry(plain)
        connection = _context(server=False).wrap_socket(plain)
    except OSError as error:
        hint = "Its invirt-host-moving.socket listens there; certificates of hosts are for clients, too."
        raise Unreachable(f"{hostname} can't be asked to take a guest: {error}", hint) from error
    if hostname not in peers(connection):
        connection.close()
        raise Denied(f"who answers at {hostname} is another")
    return Wire(connection)


def answer(plain: socket.socket) -> tuple[Wire, frozenset[str]]:
    """Somebody who has connected, and the names of the certificate; raises OSError."""
    plain.settimeout(PATIENCE)
    _hurry(plain)
    connection = _context(server=True).wrap_socket(plain, server_side=True)
    return Wire(connection), peers(connection)


def _hurry(plain: socket.socket) -> None:
    """What is written goes at once, and little of it lies about: by themselves kernels keep MiBs."""
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, WAITING)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WAITING)  # Linux doubles it


def peers(connection: ssl.SSLSocket) -> frozenset[str]:
    """Whose certificate it is; tests have others."""
    return certificates.names(connection)


def _context(*, server: bool) -> ssl.SSLContext:
    return certificates.context(config.console.ca, config.console.credentials, server=server)
