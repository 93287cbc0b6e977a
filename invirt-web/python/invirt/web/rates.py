"""How much one user gets: so many pages a second, in all of gunicorn's processes together.

A bound, no account: users are told apart by a hash, and two processes may count at the same time.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import secrets
import struct
import time

from invirt.base.errors import Busy

SECOND = 10.0  # pages that come back in a second
BURST = 120.0  # pages at once
CHANGE = 5.0  # how many pages a change counts for
SLOTS = 8192
_SLOT = struct.Struct("dd")  # what is left, and when that was


class TooOften(Busy):
    """Somebody asks more often than one person can."""


class Rates:
    """Shared by the processes that are forked from this one."""

    def __init__(self) -> None:
        self._slots = mmap.mmap(-1, SLOTS * _SLOT.size)
        self._key = secrets.token_bytes(16)

    def take(self, who: str, cost: float, now: float | None = None) -> None:
        """Count something; raises TooOften.  now: seconds of a clock that only goes forward."""
        now = time.monotonic() if now is None else now
        digest = hashlib.blake2b(who.encode(), key=self._key, digest_size=4).digest()
        at = int.from_bytes(digest, "big") % SLOTS * _SLOT.size
        left, when = _SLOT.unpack_from(self._slots, at)
        left = min(BURST, left + (now - when) * SECOND) if when else BURST
        if left < cost:
            raise TooOften("you ask too often", hint=f"Go on in {math.ceil((cost - left) / SECOND)} s.")
        _SLOT.pack_into(self._slots, at, left - cost, now)
