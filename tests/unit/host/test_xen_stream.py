"""Where a domain that xl sends ends."""

from __future__ import annotations

import io

import pytest

from invirt.host.xen import stream


def record(kind: int, body: bytes = b"") -> bytes:
    return stream.RECORD.pack(kind, len(body)) + body + bytes(-len(body) % 8)


CONFIG = b"\x05\0\0\0{}ab\0"
MEMORY = bytes(40) + record(2, b"p" * (stream.PIECE + 3)) + record(14) + record(0)
WHOLE = b"".join(
    (
        stream.HEAD.pack(stream.MAGIC, 1, 3, 0, len(CONFIG)),
        CONFIG,
        b"LibxlFmt" + bytes(8),
        *(record(1), MEMORY, record(2, b"xenstore"), record(3, b"device model"), record(0)),
    )
)


def test_all_of_it_and_no_more() -> None:
    """Memory's own end isn't the domain's."""
    source = io.BytesIO(WHOLE + b"what comes next")
    assert b"".join(stream.pieces(source)) == WHOLE and source.read() == b"what comes next"


@pytest.mark.parametrize("length", [0, 47, 60, len(WHOLE) // 2, len(WHOLE) - 1])
def test_one_that_is_cut_off(length: int) -> None:
    with pytest.raises(EOFError, match="not sent to its end"):
        list(stream.pieces(io.BytesIO(WHOLE[:length])))
