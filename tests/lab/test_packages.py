"""The Debian packages: without complaints, and the same wherever they are built."""

from __future__ import annotations

import shutil

import pytest

from invirt.base.process import run
from invirt_lab import host, packages


def test_lintian_has_nothing_to_say() -> None:
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed; scripts/test brings it")
    packages.requirements()
    changes = packages.build(packages.copy(host.CACHE / "lintian"))
    done = run(["lintian", "--fail-on=error,warning", str(changes)], timeout=300, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.nightly
def test_reproducible() -> None:
    packages.reproducible()
