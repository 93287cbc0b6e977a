"""The guests' kernel and initial file system, in the cache until their recipe changes."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from invirt.base.process import run
from invirt_lab import host
from invirt_lab.progress import step

FOLDER = host.CACHE / "guest"
_BUILDER = host.TREE / "scripts/build-guest"


def build() -> None:
    """Make FOLDER/vmlinuz and FOLDER/initrd, if those there are of another recipe."""
    key = hashlib.sha256(b"".join(path.read_bytes() for path in _recipe())).hexdigest()
    stamp = FOLDER / "recipe"
    if stamp.is_file() and stamp.read_text() == key:
        return
    new = FOLDER.with_name("guest.new")
    shutil.rmtree(new, ignore_errors=True)
    with step("building the guests' kernel and initial file system"):
        run([*host.ALONE, str(_BUILDER), str(new)], timeout=300)
    (new / "recipe").write_text(key)
    shutil.rmtree(FOLDER, ignore_errors=True)
    new.rename(FOLDER)


def _recipe() -> list[Path]:
    kernel = host.TREE / "invirt-kernel/python/invirt/kernel"
    return [_BUILDER, *sorted(kernel.glob("*.py")), *sorted(kernel.glob("install/*"))]
