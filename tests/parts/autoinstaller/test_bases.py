"""Bases: made, signed, kept as one before and one now, and what is served of them by a real Apache."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from invirt.autoinstaller import bases
from invirt.base.errors import InvirtError, NotFound
from tests.parts.autoinstaller.serving import Inside, served


def written(text: str) -> bases.Make:
    """A base that holds this."""

    def make(to: Path, epoch: int) -> None:
        to.write_text(f"{epoch} {text}")

    return make


def test_one_before_and_one_now(state: Path) -> None:
    folder = state / "public/debian-12"
    first, second, third = (bases.build(state, "debian-12", written(text)) for text in "abc")
    there = {path.name for path in folder.iterdir()}
    assert there == {"manifest.asc", second.file, third.file} and first.file not in there
    assert bases.verify(state, "debian-12") == third == bases.known(state, "debian-12")
    assert bases.names(state) == ["debian-12"] and third.architecture == "amd64"
    assert (state / "gnupg").stat().st_mode & 0o777 == 0o700
    assert third.suite == "" and "suite \n" in (folder / "manifest.asc").read_text()
    again = bases.build(state, "debian-12", written("c"), suite="bookworm")
    assert again == bases.known(state, "debian-12") and again.suite == "bookworm"
    assert "\nsuite bookworm\n" in (folder / "manifest.asc").read_text()
    assert again.sha256 == third.sha256 and (folder / again.file).exists()


def test_what_fails_leaves_what_is_served(state: Path) -> None:
    base = bases.build(state, "debian-12", written("right"))

    def fails(to: Path, epoch: int) -> None:
        to.write_text("half")
        raise InvirtError("no mirror")

    with pytest.raises(InvirtError, match="no mirror"):
        bases.build(state, "debian-12", fails)
    assert bases.verify(state, "debian-12") == base
    after = bases.build(state, "debian-12", written("next"))
    assert not list((state / "public/debian-12").glob(".new*"))
    assert bases.verify(state, "debian-12") == after


def test_what_is_not_right_is_said(state: Path) -> None:
    with pytest.raises(NotFound, match="no base of debian-13"):
        bases.verify(state, "debian-13")
    base = bases.build(state, "debian-12", written("right"))
    file = state / "public/debian-12" / base.file
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(InvirtError, match="isn't what was signed"):
        bases.verify(state, "debian-12")
    manifest = state / "public/debian-12/manifest.asc"
    manifest.write_text(manifest.read_text().replace("size ", "size 1"))
    with pytest.raises(InvirtError, match="isn't signed by this server's key"):
        bases.known(state, "debian-12")


def test_apache_serves_them_and_nothing_else(state: Path, checkout: Path, inside: Inside) -> None:
    base = bases.build(state, "debian-12", written("right"))
    os.symlink("/etc/passwd", state / "public/passwd")
    with served(checkout, state, inside):
        url = "http://127.0.0.1:8180"

        def curl(*words: str) -> subprocess.CompletedProcess[bytes]:
            return inside(
                lambda: subprocess.run(
                    ["curl", "-s", "-f", *words], check=False, timeout=30, capture_output=True
                )
            )

        whole = curl(f"{url}/debian-12/{base.file}").stdout
        assert len(whole) == base.size
        assert curl("-r", "10-", f"{url}/debian-12/{base.file}").stdout == whole[10:]
        assert b"BEGIN PGP SIGNED" in curl(f"{url}/debian-12/manifest.asc").stdout
        for wrong in ("/", "/debian-12/", "/passwd", "/../gnupg/pubring.kbx", "/debian-12/../../keyring.gpg"):
            assert curl("--path-as-is", url + wrong).returncode == 22, wrong
        assert curl("-X", "POST", f"{url}/debian-12/manifest.asc").returncode == 22
