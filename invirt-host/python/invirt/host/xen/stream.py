"""A domain as xl writes it down, to a file or on its way to another host.

First xl's own head (savefileheader_magic in Xen's tools/xl) with the domain's configuration, then
libxl's records, and among them those of its memory (docs/specs/libxl-migration-stream.pandoc and
libxc-migration-stream.pandoc, version 2 of each).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Generator, Iterator
from io import BufferedIOBase

from invirt.base.errors import BadInput
from invirt.base.names import DomainName
from invirt.host.protocols import PIECE

MAGIC = b"Xen saved domain, xl format\n \0 \r"
HEAD = struct.Struct("=32sIIII")  # magic, byte order, flags, flags, bytes of what follows
LENGTH = struct.Struct("=I")  # of the configuration, which ends with a zero
RECORD = struct.Struct("=II")  # kind, bytes
END, MEMORY = 0, 1  # kinds: the last one; one that memory's own records follow, after a head
HEAD_OF_RECORDS, HEAD_OF_MEMORY = 16, 24 + 16
LONGEST = 1 << 20  # bytes of a configuration


def name(file: str) -> DomainName:
    """Whose state the file holds; BadInput if it holds none."""
    try:
        with open(file, "rb") as opened:
            magic, _, _, _, length = HEAD.unpack(opened.read(HEAD.size))
            if magic != MAGIC or not LENGTH.size < length <= LONGEST:
                raise ValueError
            settings = json.loads(opened.read(length)[LENGTH.size :].rstrip(b"\0"))
        return DomainName(str(settings["c_info"]["name"]))
    except OSError as error:
        raise BadInput(f"{file} can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError, struct.error) as error:
        raise BadInput(f"{file} holds no domain that xl has saved") from error


def pieces(source: BufferedIOBase) -> Iterator[bytes]:
    """All of a domain, to its last byte and no further: who sends it waits for an answer then.

    source blocks.  Raises EOFError if it ends before.
    """
    *_, length = HEAD.unpack((yield from _some(source, HEAD.size)))
    yield from _some(source, length)
    yield from _some(source, HEAD_OF_RECORDS)
    while (kind := (yield from _record(source))) != END:
        if kind == MEMORY:
            yield from _some(source, HEAD_OF_MEMORY)
            while (yield from _record(source)) != END:
                pass


def _record(source: BufferedIOBase) -> Generator[bytes, None, int]:
    """One, which fills words of eight bytes; returns its kind."""
    kind, length = RECORD.unpack((yield from _some(source, RECORD.size)))
    yield from _some(source, -(-length // 8) * 8)
    return int(kind)


def _some(source: BufferedIOBase, length: int) -> Generator[bytes, None, bytes]:
    """So many bytes; returns the last PIECE of them."""
    data = b""
    while length:
        data = source.read(min(length, PIECE))
        if not data:
            raise EOFError("the domain was not sent to its end")
        yield data
        length -= len(data)
    return data
