"""The Debian packages: without complaints, and the same wherever they are built."""

from __future__ import annotations

import shutil

import pytest

from invirt.base.process import run
from invirt_lab import packages


def test_lintian_has_nothing_to_say() -> None:
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed; scripts/test brings it")
    packages.publish()
    built = [str(file) for file in sorted(packages.POOL.rglob("*")) if file.suffix in (".deb", ".dsc")]
    assert built
    done = run(["lintian", "--fail-on=error,warning", *built], timeout=300, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.nightly
def test_reproducible() -> None:
    packages.reproducible()
