"""What remote has a host do to upgrade itself; all may be said again (see invirt.host.upgrading there)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from invirt import config
from invirt.base import log
from invirt.base.errors import BadInput, CommandFailed, Unreachable
from invirt.remote import clock
from invirt.remote.hosts import Hosts, NoAnswer, Unknown
from invirt.remote.operations.model import Say

LIMITS = {"fetch": 3600.0, "install": 7200.0, "check": 120.0}  # seconds
SILENT = 180.0  # seconds for which a host may be silent while it is at it: its services begin anew
LOOK = 2.0  # seconds between two questions
WORD = 10.0  # seconds between two words to who waits
SHOWN = 200  # letters of what a host says


@dataclass(frozen=True)
class Boot:
    """Which boot of a host it is, and why it needs another one, "" if it doesn't."""

    which: str
    why: str


def boot(hosts: Hosts, hostname: str) -> Boot:
    """Of a host that answers; raises BadInput for one of a version that knows no upgrade."""
    found = _asked(hosts, hostname, "boot")
    which, why = found.get("boot"), found.get("reboot")
    if not isinstance(which, str) or not re.fullmatch(r"[0-9a-f-]{36}", which) or not isinstance(why, str):
        raise CommandFailed(f"{hostname} doesn't say which boot it is", hint=f"invirt-check on {hostname}")
    return Boot(which, _line(why))


def work(hosts: Hosts, hostname: str, what: str, say: Say) -> Any:
    """Have it done, to its end; returns what the host has found, as far as that is of the promised form.

    Raises CommandFailed, with what was said at last, where it failed or took too long.
    """
    asked = False
    begun = heard = told = clock.current.monotonic()
    while True:
        now = clock.current.monotonic()
        try:
            if not asked:
                _call(hosts, hostname, "begin", what)
            asked, found, heard = True, _asked(hosts, hostname, "status", what), now
        except Unreachable:
            if now - heard > SILENT:
                raise
            found = {}
        if found.get("state") == "ended":
            return _found(hostname, what, found)
        if now - begun > LIMITS[what]:
            raise CommandFailed(f"{hostname}: {what} comes to no end within {LIMITS[what]:.0f} s")
        if now - told > WORD:
            told = now
            say(f"{what} for {now - begun:.0f} s: {_last(found) or 'no answer'}")
        clock.current.sleep(LOOK)


def reboot(hosts: Hosts, hostname: str, wanted: Callable[[Boot], bool], say: Say) -> None:
    """Boot it anew until the boot that it answers with is none for which that is wanted.

    Raises Unreachable if it is late, and Busy while guests run there.
    """
    limit = config.remote.reboot_timeout
    begun = told = clock.current.monotonic()
    while True:
        now = clock.current.monotonic()
        try:
            if not wanted(stands := boot(hosts, hostname)):
                return
            _call(hosts, hostname, "reboot", stands.which)
        except Unreachable:  # it is on its way
            pass
        if now - begun > limit:
            raise Unreachable(
                f"{hostname} isn't back within {limit} s",
                hint=f"Look at its console. If it never comes back: admin host lost {hostname}",
            )
        if now - told > WORD:
            told = now
            say(f"it reboots ({now - begun:.0f} of {limit} s)")
        clock.current.sleep(LOOK)


def _asked(hosts: Hosts, hostname: str, *words: str) -> Mapping[str, Any]:
    answer = _call(hosts, hostname, *words)
    try:
        found = json.loads(answer)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise NoAnswer(f"{hostname} answers with something else than how its upgrade stands")
    return found


def _call(hosts: Hosts, hostname: str, *words: str) -> str:
    try:
        return hosts.call(hostname, "upgrade", *words, timeout=config.remote.host_timeout)
    except Unknown as error:
        hint = f"This once by hand, on {hostname}: apt-get update && apt-get full-upgrade"
        raise BadInput(f"{hostname} is of a version that can't be upgraded from here", hint=hint) from error


def _found(hostname: str, what: str, said: Mapping[str, Any]) -> Any:
    found = said.get("found")
    if what == "check" and isinstance(found, list):
        return [_line(one) for one in found]
    if said.get("status") != 0:
        lines = said.get("said")
        last = [_line(line) for line in lines] if isinstance(lines, list) else []
        errors = [line for line in last if re.match(r"E: |dpkg: error", line)] or last[-1:]
        why = f": {errors[0].rstrip(':')}" if errors else ""
        raise CommandFailed(
            f"{hostname}: {what} failed{why}", hint=f"{hostname} says: {' / '.join(last[-5:])}"
        )
    return found if what == "fetch" and isinstance(found, int) else None


def _last(found: Mapping[str, Any]) -> str:
    lines = found.get("said")
    return _line(lines[-1]) if isinstance(lines, list) and lines else ""


def _line(text: object) -> str:
    """What a host says goes on people's screens."""
    return log.one_line(str(text))[:SHOWN]
