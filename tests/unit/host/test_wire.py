"""Frames between hosts: what is packed, and what comes of one that isn't what it claims."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from typing import cast

import lz4.block
import pytest

from invirt.base.errors import Unreachable
from invirt.host.moving import wire
from invirt.host.moving.wire import Wire
from invirt.host.protocols import PIECE


@pytest.fixture
def ends() -> Iterator[tuple[Wire, Wire]]:
    """Both ends of a connection, but for TLS."""
    one, other = (cast(ssl.SSLSocket, end) for end in socket.socketpair())
    with Wire(one) as ours, Wire(other) as theirs:
        yield ours, theirs


def test_zeros_are_short(ends: tuple[Wire, Wire]) -> None:
    """A quarter of a MiB, which the socket's buffer would not have room for."""
    ours, theirs = ends
    ours.pack(bytes(PIECE))
    assert theirs.read(wire.MEMORY, wire.END) == (wire.MEMORY, bytes(PIECE))


def test_what_would_become_longer_goes_as_it_is(ends: tuple[Wire, Wire]) -> None:
    ours, theirs = ends
    content = os.urandom(4096)
    ours.pack(content)
    assert theirs._exactly(wire.HEAD.size) == wire.HEAD.pack(wire.MEMORY, 4096)
    assert theirs._exactly(4096) == content


@pytest.mark.parametrize(
    "content",
    [b"", b"no lz4", lz4.block.compress(bytes(PIECE + 1), store_size=False), b"\xff" * 5000],
)
def test_what_is_not_packed_so_or_too_much_is_no_frame(ends: tuple[Wire, Wire], content: bytes) -> None:
    ours, theirs = ends
    ours.send(wire.PACKED, content)
    with pytest.raises(Unreachable, match="no frame"):
        theirs.read(wire.MEMORY, wire.END)


def test_it_is_taken_only_for_memory(ends: tuple[Wire, Wire]) -> None:
    ours, theirs = ends
    ours.pack(bytes(5000))
    with pytest.raises(Unreachable, match="wasn't asked"):
        theirs.read(wire.LOG)
