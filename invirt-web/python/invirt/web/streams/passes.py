"""A pass: what a page opens a console or a screen with, on top of its user's session.

It is signed, and lets in one user, to one machine, where that is now, to one kind of stream, for so
many seconds.  Who may stay is asked of the database all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from itsdangerous import BadSignature, URLSafeTimedSerializer

from invirt.base.errors import Denied

SALT = "invirt-stream"  # no cookie is a pass, and no token of the API
LASTS = 60  # seconds in which a stream can be begun with it


@dataclass(frozen=True)
class Passes:
    """What signs them."""

    signing: URLSafeTimedSerializer

    def give(self, who: str, machine: Any, kind: str) -> str:
        """One for a user; machine: its number, and its host, None while it is off."""
        return str(self.signing.dumps([who, machine.machine_id, machine.host, kind]))

    def check(self, given: str, who: str, machine: Any, kind: str) -> None:
        """Raises Denied for one of another user, machine, host or kind, or that has ended."""
        try:
            bound = self.signing.loads(given, max_age=LASTS)
        except BadSignature:
            bound = None
        if bound != [who, machine.machine_id, machine.host, kind]:
            raise Denied("this page may not open that now", hint="Load it anew.")
