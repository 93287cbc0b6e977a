"""A domain as xl writes it down, to a file or on its way to another host.

First xl's own head (savefileheader_magic in Xen's tools/xl) with the domain's configuration, then
libxl's records, and among them those of its memory (docs/specs/libxl-migration-stream.pandoc and
libxc-migration-stream.pandoc, version 2 of each).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import BinaryIO

from invirt.base.errors import BadInput
from invirt.base.names import DomainName

MAGIC = b"Xen saved domain, xl format\n \0 \r"
HEAD = struct.Struct("=32sIIII")  # magic, byte order, flags, flags, bytes of what follows
LENGTH = struct.Struct("=I")  # of the configuration, which ends with a zero
RECORD = struct.Struct("=II")  # kind, bytes
END, MEMORY = 0, 1  # kinds: the last one; one that memory's own records follow, after a head
HEAD_OF_RECORDS, HEAD_OF_MEMORY = 16, 24 + 16
LONGEST = 1 << 20  # bytes of a configuration
CHUNK = 1 << 18  # bytes

Pass = Callable[[int], bytes]  # so many bytes, which have gone on when it returns


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


def carry(source: BinaryIO, put: Callable[[bytes], None]) -> None:
    """Hand all of a domain on, to its last byte and no further: who sends it waits for an answer then.

    source blocks.  Raises EOFError if it ends before.
    """

    def on(length: int) -> bytes:
        data = b""
        while length:
            data = source.read(min(length, CHUNK))
            if not data:
                raise EOFError("the domain was not sent to its end")
            put(data)
            length -= len(data)
        return data

    *_, length = HEAD.unpack(on(HEAD.size))
    on(length)
    on(HEAD_OF_RECORDS)
    while (kind := _record(on)) != END:
        if kind == MEMORY:
            on(HEAD_OF_MEMORY)
            while _record(on) != END:
                pass


def _record(on: Pass) -> int:
    """Hand one on, which fills words of eight bytes; returns its kind."""
    kind, length = RECORD.unpack(on(RECORD.size))
    on(-(-length // 8) * 8)
    return int(kind)
