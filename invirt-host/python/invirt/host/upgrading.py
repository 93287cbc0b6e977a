"""This host is upgraded: by apt, in a unit of its own, begun by one call and asked about by others.

All of it may be said again.  A unit that is at work is not begun a second time, and a reboot is
asked for by the boot that is to end: it never ends another.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from invirt.base.errors import BadInput, Busy
from invirt.base.process import run
from invirt.host import loading, paths

WHAT = ("fetch", "install", "check")
START = 20.0  # seconds from its beginning until the unit must be at work
LINES, LETTERS = 12, 300  # of what was said at last
FINDINGS = 20  # errors of invirt-check that are told
LEFT = re.compile(r"^(\d+) upgraded, (\d+) newly installed, (\d+) to remove", re.MULTILINE)
HALF = re.compile(r"^(\d+) not fully installed", re.MULTILINE)
BOOT = Path("/proc/sys/kernel/random/boot_id")
REQUIRED = Path("/run/reboot-required")
KERNELS = Path("/boot")


def begin(what: str) -> None:
    """Have it done, unless it is being done."""
    if _is_at_work(what):
        return
    paths.make(_mark(what, "").parent)
    _mark(what, ".ended").unlink(missing_ok=True)
    _mark(what, ".said").unlink(missing_ok=True)
    paths.write(_mark(what, ".begun"), "")
    run(["systemctl", "start", "--no-block", f"invirt-host-upgrade@{what}.service"])


def status(what: str) -> dict[str, Any]:
    """Its state ("none", "running" or "ended"), its exit status, what it said at last, and what it found.

    That is of fetch how many packages there are to upgrade, and of check the errors; null if unknown.
    """
    begun = _mark(what, ".begun")
    running = _is_at_work(what)
    ended = _mark(what, ".ended")
    if ended.exists():  # looked at last: it may have ended just now
        return {"state": "ended", "status": _number(ended.read_text()), **_said(what)}
    if running or (begun.exists() and time.time() - begun.stat().st_mtime < START):
        return {"state": "running", "status": 0, **_said(what)}
    if begun.exists():
        return {"state": "ended", "status": 1, **_said(what)}
    return {"state": "none", "status": 0, "said": [], "found": None}


def boot() -> dict[str, Any]:
    """Which boot of this host this is, and why another one is needed, "" if it isn't."""
    return {"boot": BOOT.read_text().strip(), "reboot": _why(_booted_at())}


def reboot(which: str) -> None:
    """Reboot, unless this is another boot by now.  Raises Busy while a guest runs."""
    if BOOT.read_text().strip() != which:
        return
    if guests := [domain.name for domain in loading.hypervisor().domains()]:
        raise Busy(
            f"{guests[0]} runs here", hint="Nothing was done. Move what runs here away, then try again."
        )
    run(["systemctl", "reboot", "--no-block"])


def _is_at_work(what: str) -> bool:
    asked = ["systemctl", "show", "--value", "--property=ActiveState", f"invirt-host-upgrade@{what}.service"]
    return run(asked).stdout.strip() in ("activating", "active", "deactivating")


def _said(what: str) -> dict[str, Any]:
    file = _mark(what, ".said")
    text = file.read_text(errors="replace") if file.exists() else ""
    lines = [line[:LETTERS] for line in text.splitlines() if line.strip()]
    found: dict[str, Callable[[str], Any]] = {"fetch": _left, "check": _errors}
    return {"said": lines[-LINES:], "found": found[what](text) if what in found else None}


def _left(text: str) -> int | None:
    """Of what apt said: packages that are to be upgraded, installed, removed or set up."""
    said, half = LEFT.search(text), HALF.search(text)
    if said is None:
        return None
    return sum(map(int, said.groups())) + (int(half[1]) if half else 0)


def _errors(text: str) -> list[str] | None:
    """Of what invirt-check said; None where there is no invirt-check."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if found is None:
        return None
    errors = [one for one in found["findings"] if one["level"] == "error"]
    return ["{where}: {what}".format(**one)[:LETTERS] for one in errors[:FINDINGS]]


def _why(booted: float) -> str:
    """What has been installed since then that counts from the next boot on."""
    if REQUIRED.exists():
        return f"{REQUIRED} is there"
    kernels = [file for file in KERNELS.glob("vmlinuz-*") if file.stat().st_ctime > booted]
    names = sorted(file.name.removeprefix("vmlinuz-") for file in kernels)
    return f"the kernel {names[-1]} was installed since it booted" if names else ""


def _booted_at() -> float:
    """When this host's process 1 began, in seconds since the epoch."""
    lines = Path("/proc/stat").read_text().splitlines()
    since = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    ticks = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19])
    return since + ticks / os.sysconf("SC_CLK_TCK")


def _number(text: str) -> int:
    """An exit status as systemd tells it; the name of a signal is a failure, too."""
    return int(text) if text.strip().isdecimal() else 1


def _mark(what: str, which: str) -> Path:
    if what not in WHAT:
        raise BadInput(f"there is no {what!a}")
    return paths.run() / "upgrade" / f"{what}{which}"
