"""Files that are whole at every moment."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def replace(path: Path, content: bytes, mode: int = 0o644, owner: str = "") -> None:
    """Write the whole file beside path, then rename it over path; owner is USER:GROUP.

    Whoever reads it, and a crash, find the old or the new.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.invirt-new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        if owner:
            shutil.chown(new, *owner.split(":"))
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
