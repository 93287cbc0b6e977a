"""Who acts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """Who acts.  An administrator needs no access to the machine.

    via: the server that speaks for them; whence: the address from which they asked that server, by its word.
    """

    principal: str
    via: str | None = None
    administrator: bool = False
    whence: str | None = None
