"""How long the doors take that users come by: remctl to let in, ssh to greet, DNS to answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from invirt import config
from invirt.base.knocking import greet, resolve
from invirt.base.remctl import PORT

SSH = 22


def look() -> dict[str, float | None]:
    """The seconds of each door, all at once; None: it didn't answer in three."""
    doors: dict[str, Callable[[], None]] = {}
    for server in config.remote.servers or (config.remote.hostname,):
        doors[f"remctl {server}"] = lambda server=server: greet(server, PORT)  # type: ignore[misc]
    if config.console.hostname:
        doors[f"ssh {config.console.hostname}"] = lambda: greet(config.console.hostname, SSH, b"SSH-")
    for server in config.dns.servers:
        doors[f"dns {server}"] = lambda server=server: resolve(server, config.site.domain)  # type: ignore[misc]
    with ThreadPoolExecutor(len(doors)) as pool:
        return dict(zip(doors, pool.map(_timed, doors.values()), strict=True))


def _timed(knock: Callable[[], None]) -> float | None:
    began = time.monotonic()
    try:
        knock()
    except OSError:
        return None
    return time.monotonic() - began
