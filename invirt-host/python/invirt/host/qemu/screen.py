"""A guest's screen: VNC, on a socket that its QEMU makes as the machine's own uid.

It lies by the machine's number, which never comes again.  The folder of all
screens is passed by root and by invirt-host-consoles alone, so what is in it may
be open to all; QEMU, which can't pass it, is given its own folder open.  What a
QEMU that is taken over puts there instead, a link to another's screen, is known
by its uid: see invirt.host.console.screens.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from invirt.host import paths
from invirt.host.domain import DomainConfig


def has(config: DomainConfig) -> bool:
    """Whether the guest's display is to be seen: a PC's is, unless it says vnc = 0."""
    return config.virt == "hvm" and config.number("vnc", 1) == 1


def place(number: int) -> int:
    """The machine's folder, new and empty, open for QEMU to inherit."""
    folder = clear(number)
    paths.make(folder.parent)
    folder.mkdir()
    folder.chmod(0o777)
    return os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)


def clear(number: int) -> Path:
    """Take away what an ended guest left, and say where."""
    folder = paths.screen(number).parent
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def words(descriptor: int) -> list[str]:
    """QEMU's: no network port; whoever comes puts nobody out, whatever they ask for."""
    name = paths.screen(0).name
    return ["-vnc", f"unix:/proc/self/fd/{descriptor}/{name},share=ignore"]
