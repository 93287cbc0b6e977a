"""The installer's ramdisk, and a place for its script to run in."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.kernel.installing import Place, Server, place, serving


@pytest.fixture(scope="session")
def ramdisk(checkout: Path) -> Path:
    """The installer's ramdisk, made by scripts/build-guest (kept from run to run)."""
    made = checkout / ".cache/guest"
    subprocess.run([checkout / "scripts/build-guest", made], check=True, stdout=subprocess.DEVNULL)
    return made / "installer"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for gpg's socket."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def here(ramdisk: Path, folder: Path) -> Iterator[Place]:
    with place(ramdisk, folder) as made:
        yield made


@pytest.fixture
def server(here: Place, folder: Path) -> Iterator[Server]:
    with serving(here.root, folder) as made:
        yield made
