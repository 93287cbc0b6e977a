"""What a guest is told in which a system is installed, and what it says of it: see package invirt-kernel.

It says a line `invirt-install: N% WHAT` now and then, and at last either
`invirt-install: 100% done`, and powers off, or `invirt-install: failed: WHY`.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from invirt.base import guests

if TYPE_CHECKING:
    from invirt.database.models import Machine
    from invirt.database.systems import Install

KERNEL, RAMDISK, APPEND = guests.KERNEL, guests.INSTALLER, guests.APPEND
_STEP = re.compile(rb"^invirt-install: ([0-9]{1,2}|100)% ([ -~]{1,80})\r?$", re.MULTILINE)
_FAILED = re.compile(rb"^invirt-install: failed: ([ -~]{1,200})", re.MULTILINE)
_KEY = re.compile(
    rb"^invirt-install: hostkey [0-9]{1,5} (SHA256:[A-Za-z0-9+/]{43}) [ -~]*\(([A-Z0-9]{2,10})\)", re.M
)


@dataclass(frozen=True)
class Said:
    """percent, and words for it; failed: why, empty if it has not; keys: fingerprints of its ssh, by kind."""

    percent: int = 0
    words: str = ""
    failed: str = ""
    keys: dict[str, str] = field(default_factory=dict)


def parameters(machine: Machine, install: Install) -> list[str]:
    """Lines of NAME VALUE, which the installer checks against whitelists of its own."""
    system = install.autoinstall
    return [
        f"hostname {machine.name}",
        f"name {system.name}",
        f"suite {system.suite}",
        f"mirror {system.mirror}",
        f"architecture {system.architecture}",
        f"url {system.url}",
        f"keyring {base64.b64encode(system.keyring).decode()}",
        f"password {install.password}",
        *([f"script {base64.b64encode(system.script.encode()).decode()}"] if system.script else []),
        *(f"key {key}" for key in install.keys),
    ]


def said(console: bytes) -> Said:
    """What an installer has said on a guest's console."""
    steps, failed = _STEP.findall(console), _FAILED.search(console)
    percent, words = steps[-1] if steps else (b"0", b"")
    return Said(
        int(percent),
        words.decode(),
        failed[1].decode() if failed else "",
        {kind.decode(): fingerprint.decode() for fingerprint, kind in _KEY.findall(console)},
    )
