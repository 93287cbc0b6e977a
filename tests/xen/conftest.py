"""A real Xen host, emulated, for the tests of a file: from a state that is kept, or cold at first."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from invirt_lab import host, xen_host
from invirt_lab.xen_host import Xen


@pytest.fixture(scope="module")
def xen() -> Iterator[Xen]:
    """At its prompt, with an empty volume group."""
    host.require_root()
    with tempfile.TemporaryDirectory(prefix="xen.") as folder, xen_host.started(Path(folder)) as made:
        yield made


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Xen, Xen]]:
    """Two, with a network and a disk of both."""
    host.require_root()
    with tempfile.TemporaryDirectory(prefix="xen.") as folder, xen_host.pair(Path(folder)) as made:
        yield made
