"""The Debian packages: without complaints, and the same wherever they are built."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from invirt.base.errors import BadInput
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


def test_they_are_of_whom_the_archive_s_key_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person = "Ada Roe <ada@example.org>"
    monkeypatch.setattr(packages, "_GNUPG", tmp_path / "key")
    monkeypatch.setattr(packages, "KEYRING", tmp_path / "keyring.gpg")
    assert (
        f"\nMaintainer: {person}\n" not in (packages.copy(tmp_path / "tree") / "debian/control").read_text()
    )
    packages.make_key(person)
    assert f"\nMaintainer: {person}\n" in (packages.copy(tmp_path / "tree") / "debian/control").read_text()
    with pytest.raises(BadInput, match="not of Bob"):
        packages.make_key("Bob Roe <bob@example.org>")
