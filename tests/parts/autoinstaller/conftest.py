"""A network of its own for a test, and a folder for the server's state."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.autoinstaller import mirrors
from tests.parts.autoinstaller.mirrors import Mirror
from tests.parts.host.conftest import inside

__all__ = ["inside"]


@pytest.fixture
def state() -> Iterator[Path]:
    """A folder whose name is short enough for gpg's socket, and that Apache can read."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def mirror(state: Path) -> Mirror:
    """An empty one, that is served beside the bases."""
    (state / "public/mirror").mkdir(parents=True)
    return mirrors.empty(state / "public/mirror", mirrors.SUITE, state / "nobody")
