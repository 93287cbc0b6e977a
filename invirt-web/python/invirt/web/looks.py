"""What a look is known by: a link by which people see a machine's console for an hour, and type nothing."""

from __future__ import annotations

import hashlib

from invirt.base.errors import NotFound

LOOK = "SELECT look_id, seconds FROM web.look(%(hash)s)"


def digest(token: str) -> bytes:
    """What the database knows a link by."""
    return hashlib.sha256(token.encode()).digest()


def absent() -> NotFound:
    """Of a link that shows nothing."""
    return NotFound("this link shows nothing any more", hint="Ask who gave it to you for another.")
