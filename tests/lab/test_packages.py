"""The Debian packages: without complaints, and the same wherever they are built."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from invirt.base.errors import BadInput
from invirt.base.process import run
from invirt_lab import packages, publisher


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


def test_they_say_where_they_and_their_source_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Debian's own programs read it, in a package and in that of the source."""
    told = {publisher.HOMEPAGE: "https://example.org/invirt", publisher.VCS: "https://git.example.org/i.git"}
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(told)))
    for number, (setting, text) in enumerate(told.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", setting)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", text)
    tree = packages.copy(tmp_path)
    run(["env", f"--chdir={tree}", "dpkg-source", "--build", "."], timeout=60)
    (source,) = tmp_path.glob("*.dsc")
    package = run(["env", f"--chdir={tree}", "dpkg-gencontrol", "-pinvirt-base", "-O"]).stdout
    homepage = "\nHomepage: https://example.org/invirt\n"
    assert homepage in package and homepage in source.read_text()
    assert "\nVcs-Git: https://git.example.org/i.git\n" in source.read_text()
    assert "\nVcs-Browser: https://git.example.org/i\n" in source.read_text()
