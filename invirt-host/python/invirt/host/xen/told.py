"""What an installer is told under Xen: a file in its ramdisk, which its guest alone has.

No command line shows it, nor xenstore, nor `xl list -l`.  The ramdisk with it is root's, in memory, and goes
as soon as Xen has read it.
"""

from __future__ import annotations

import os
from pathlib import Path

from invirt.base import cpio
from invirt.base.names import DomainName
from invirt.host import paths
from invirt.host.domain import DomainConfig

FILE = "parameters"  # where the installer looks for it, from its root


def added(config: DomainConfig) -> DomainConfig:
    """With what there is to tell added to its ramdisk, in a copy of its own; BadInput where it has none."""
    forget(config.name)
    if not config.install:
        return config
    lines = "".join(f"{line}\n" for line in config.install)
    try:
        ramdisk = Path(config.text("ramdisk")).read_bytes()
    except OSError as error:
        raise config.refusal("ramdisk", f"can't be read: {error.strerror}", "invirt-kernel make") from error
    _write(_ramdisk(config.name), ramdisk + cpio.archive([cpio.file(FILE, lines.encode(), 0o400)]))
    return DomainConfig({**config.settings, "ramdisk": str(_ramdisk(config.name))}, config.place)


def forget(name: DomainName) -> None:
    """Whatever became of it."""
    _ramdisk(name).unlink(missing_ok=True)


def _ramdisk(name: DomainName) -> Path:
    return paths.run() / "guests" / name / "ramdisk"


def _write(path: Path, data: bytes) -> None:
    paths.make(path.parent)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
