"""Installations that are refused, or fail."""

from __future__ import annotations

import pytest

from invirt.base.errors import BadInput, CommandFailed
from invirt.remote.operations import engine, submit
from tests.parts.operations.conftest import Quick, Site, actor


def test_too_small_for_a_system(site: Site) -> None:
    """It is refused before anything is done, with what would do."""
    site.rows("UPDATE autoinstalls SET memory = 256, disk = 2")
    site.create("remus")
    with pytest.raises(BadInput, match="MiB of memory: debian-12 wants 256") as caught:
        site.submit("install", "remus", autoinstall="debian-12")
    assert caught.value.hint == "machine resize remus --memory 256M"
    site.submit("resize", "remus", memory=256)
    with pytest.raises(BadInput, match="has 1 GiB: debian-12 wants 2"):
        site.submit("install", "remus", autoinstall="debian-12")
    assert site.hosts.running() == [] and site.rows("SELECT 1 FROM installs") == []
    site.check()


def test_how_far_it_is_is_told_to_who_waits(
    site: Site, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And asked two seconds apart: it takes minutes."""
    site.create("remus")
    monkeypatch.setattr(engine, "WORD", -1)
    told: list[str] = []

    def say(words: str) -> None:
        told.append(words)
        for host in site.hosts.hosts.values():
            host.patience = 2 if words.startswith("installing") else 0

    wanted = {"autoinstall": "debian-12"}
    submit("install", actor("install"), "remus", wanted, None, say, hosts=site.hosts, connection=site.remote)
    [words] = [line for line in told if line.startswith("waiting")]
    assert words.startswith("waiting until debian-12 is installed (30 %, unpacking; ")
    assert quick.now == 2


HALF: list[tuple[object, ...]] = [("debian-12", None)]
UNSIGNED = "debian-12 could not be installed: the base isn't signed"


@pytest.mark.parametrize(
    ("percent", "why", "told", "left"),
    [
        (3, "the base isn't signed", UNSIGNED, []),
        (30, "the base isn't signed", UNSIGNED, HALF),
        (30, "", "the installer was ended at 30 %", HALF),  # its guest died
    ],
)
def test_an_installer_that_fails(
    site: Site, percent: int, why: str, told: str, left: list[tuple[object, ...]]
) -> None:
    """Why is said, nothing is left of it but what is on the disk, and it can be begun again."""
    site.create("remus")
    for host in site.hosts.hosts.values():
        host.unable = (percent, why)
    with pytest.raises(CommandFailed, match=told) as caught:
        site.submit("install", "remus", autoinstall="debian-12")
    assert not why or "ssh remus@ the consoles" in caught.value.hint
    assert site.rows("SELECT system::text, installed_at FROM machines WHERE system IS NOT NULL") == left
    site.check()
    for host in site.hosts.hosts.values():
        host.unable = (100, "")
    site.submit("install", "remus", autoinstall="debian-12")
    assert site.rows("SELECT system::text FROM machines WHERE installed_at IS NOT NULL") == [("debian-12",)]
    site.check()
