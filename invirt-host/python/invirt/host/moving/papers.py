"""What a host has written down of a guest's move: it outlives every process, and the host's own boot.

The target may let the guest run only with the source's word that it has handed it over, or remote's.
The source must not let it run once it has written that down.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from invirt.base.names import MachineName
from invirt.host import paths

# expected: here, from peer.  handed: to peer, for ever.  arrived: from peer, which has handed it over.
State = Literal["expected", "handed", "arrived"]


@dataclass(frozen=True)
class Paper:
    """How the move of a machine stands; machine: its number; peer: the other host."""

    state: State
    peer: str
    machine: int


def write(name: MachineName, paper: Paper) -> None:
    """It is on disk when this returns."""
    paths.write(_file(name), json.dumps(asdict(paper)))


def read(name: MachineName) -> Paper | None:
    """What is written down of that machine, if anything is."""
    try:
        return Paper(**json.loads(_file(name).read_text()))
    except FileNotFoundError:
        return None


def forget(name: MachineName) -> None:
    """Another chapter of its life begins here: it is booted, or ended."""
    _file(name).unlink(missing_ok=True)


def _file(name: MachineName) -> Path:
    return paths.state() / "moves" / name
