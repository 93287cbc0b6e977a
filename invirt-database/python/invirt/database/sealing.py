"""Seals the audit, and says in the journal how far: what is cut off there is found by that."""

from __future__ import annotations

import time
from typing import Any

from invirt.base import log

MOST = 1000  # rows at one look
HOURLY = 3600.0  # seconds between two lines in the journal
WAITING = "SELECT EXISTS (SELECT FROM audit_unsealed) AS any"
SEAL = "SELECT last, encode(hash, 'hex') FROM seal_audit(%s)"


class Sealer:
    """What one process has said."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.next = 0.0

    def turn(self, cursor: Any) -> None:
        """Seal what is committed, if anything is."""
        cursor.execute(WAITING)
        if not cursor.fetchone()[0]:
            return
        cursor.execute(SEAL, (MOST,))
        last, digest = cursor.fetchone()
        if time.monotonic() >= self.next:
            log.write(f"the audit is sealed: {last}:{digest}", program=self.program)
            self.next = time.monotonic() + HOURLY
