"""A mail server's handler, for `python3 -m aiosmtpd -c`: it keeps what it takes in a Maildir.

Files beside that tell it what to do: `refuse` names an address that it refuses; while `hold` is there, it
says nothing more to a mail that it has taken.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aiosmtpd.handlers import Mailbox


class Kept(Mailbox):  # type: ignore[misc]  # aiosmtpd has no type hints
    """See above."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.beside = Path(folder).parent

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        """Take it, unless that one is refused."""
        refused = self.beside / "refuse"
        if refused.exists() and refused.read_text() == address:
            return "550 there is nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep it."""
        answer: str = await super().handle_DATA(server, session, envelope)
        while (self.beside / "hold").exists():
            await asyncio.sleep(0.05)
        return answer

    @classmethod
    def from_cli(cls, parser: Any, *arguments: str) -> Kept:
        """As the program makes it."""
        return cls(arguments[0])
