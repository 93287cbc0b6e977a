"""What a check finds: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad it is, and the exit code of invirt-check where that is the worst."""

    WARNING = 1
    ERROR = 2


@dataclass(frozen=True)
class Finding:
    """level: how bad.  where: a file, a unit, a server.  what: is wrong there.  todo: what mends it."""

    level: Level
    where: str
    what: str
    todo: str


Findings = Iterator[Finding]


def error(where: str, what: str, todo: str) -> Finding:
    """Something that doesn't work, or that lets in whom it should not."""
    return Finding(Level.ERROR, where, what, todo)


def warning(where: str, what: str, todo: str) -> Finding:
    """Something that works, and will not for ever, or not as well as it could."""
    return Finding(Level.WARNING, where, what, todo)


def worst(findings: Iterable[Finding]) -> int:
    """The exit code."""
    return max((int(finding.level) for finding in findings), default=0)
