"""Who acts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """Who acts; via: the server that speaks for them.  An administrator needs no access to the machine."""

    principal: str
    via: str | None = None
    administrator: bool = False
