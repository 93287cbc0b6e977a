"""Typing on a terminal, and how long it takes until something comes back."""

from __future__ import annotations

import os
import re
import select
import time
from functools import partial

from invirt_lab.console import on_terminal

terminal = partial(on_terminal, raw=True)


def read_until(end: int, pattern: bytes, seconds: float = 20) -> bytes:
    """What comes, up to the pattern."""
    seen, limit = b"", time.monotonic() + seconds
    while not re.search(pattern, seen):
        left = limit - time.monotonic()
        assert left > 0 and select.select([end], [], [], left)[0], f"no {pattern!r} in {seen!r}"
        seen += os.read(end, 65536)
    return seen


def joined(end: int, seconds: float = 20) -> None:
    """Type until it comes back, and read that: what is typed before a program has the keys is lost."""
    limit = time.monotonic() + seconds
    os.write(end, b"x")
    while not select.select([end], [], [], 0.5)[0]:
        assert time.monotonic() < limit, "nothing comes back"
        os.write(end, b"x")
    while select.select([end], [], [], 0.5)[0]:
        os.read(end, 65536)


def echoes(end: int, times: int) -> list[float]:
    """Seconds until a typed letter comes back, each time."""
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        os.write(end, b"x")
        read_until(end, b"x")
        took.append(time.perf_counter() - begun)
    return took
