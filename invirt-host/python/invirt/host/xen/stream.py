"""A domain as xl writes it down, to a file or on its way to another host.

First xl's own head (savefileheader_magic in Xen's tools/xl) with the domain's configuration, then
libxl's records, and among them those of its memory (docs/specs/libxl-migration-stream.pandoc and
libxc-migration-stream.pandoc, version 2 of each).
"""

from __future__ import annotations

import json
import struct

from invirt.base.errors import BadInput
from invirt.base.names import DomainName

MAGIC = b"Xen saved domain, xl format\n \0 \r"
HEAD = struct.Struct("=32sIIII")  # magic, byte order, flags, flags, bytes of what follows
LENGTH = struct.Struct("=I")  # of the configuration, which ends with a zero
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
