"""A serial console that is shared by a link: whoever has it sees all, and types nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from invirt.base.errors import NotFound
from invirt.web.looks import absent
from invirt.web.streams.serial import Serial

MACHINE = """
SELECT m.machine_id, m.name, h.hostname AS host, m.type
FROM web.look(%(hash)s) l JOIN web.machines m USING (machine_id) LEFT JOIN web.hosts h ON h.name = m.host
"""
EACH = 20  # that look on at one machine


@dataclass
class Look(Serial):
    """One browser that looks on."""

    machine: ClassVar[str] = MACHINE
    mode: ClassVar[str] = "look"
    gone: ClassVar[str] = "this link has ended"
    over: ClassVar[str] = gone

    @classmethod
    def absent(cls, name: str) -> NotFound:
        """Where there is no such look."""
        return absent()

    async def type(self, data: bytes) -> None:
        """It goes nowhere; the host would not hand it on, either."""
