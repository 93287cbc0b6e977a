"""The installer's script, with the programs of its ramdisk, against a disk of a file."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest

from tests.parts.kernel.installing import BOOT, CORE, SOURCES, Place, Server, listed, place, serving, signed

MIRROR = "https://mirror.example.org:8443/~debian/a.b_c"


def empty(here: Place) -> bool:
    """Whether nothing was written to the disk."""
    return not here.disk.read_bytes().strip(b"\0")


def test_it_installs_and_again(here: Place, server: Server) -> None:
    """What was there before doesn't count; the download goes on where it broke off."""
    size = len(server.files["base.tar.zst"])
    server.parts = [100_000, 200_000]
    said = here.install(server.parameters())
    assert "invirt-install: 100% done\n" in said, said
    assert server.asked == ["bytes=100000-", "bytes=300000-"]
    assert "invirt-install: hostkey 256 SHA256:x (X)" in said
    percents = [int(line.split()[1][:-1]) for line in said.splitlines() if "% " in line]
    assert percents == sorted(percents) and percents[0] == 0

    assert "100% done" in here.install(server.parameters(hostname="romulus"))
    whole = here.disk.read_bytes()
    assert whole[:440] == BOOT[:440] and whole[510:512] == b"\x55\xaa"
    assert whole[512 : 512 + len(CORE)] == CORE
    with here.installed() as target:
        assert (target / "etc/hostname").read_text() == "romulus\n"
        assert (target / "etc/shadow").read_text() == "root:$6$salt$hash\n"
        keys = target / "root/.ssh/authorized_keys"
        assert keys.read_text() == "ssh-ed25519 AAAAC3Nz alice@example.org\n"
        assert keys.stat().st_mode & 0o777 == 0o600 and keys.parent.stat().st_mode & 0o777 == 0o700
        assert "root=UUID=0b7c9a4e-" in (target / "boot/grub/grub.cfg").read_text()
        assert not list(target.glob(".base*")) and (target / "filler").stat().st_size == 1024 * 1024
    assert size > 1024 * 1024


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hostname", "$(touch /tmp/owned)"),
        ("hostname", "a;touch /tmp/owned"),
        ("hostname", "remus\nhostname romulus"),
        ("hostname", ""),
        ("password", "`touch /tmp/owned`"),
        ("password", "x:0"),
        ("url", "http://127.0.0.1/$(touch /tmp/owned)"),
        ("url", "-O/etc/passwd"),
        ("name", "../debian-12"),
        ("suite", "bookworm$(touch /tmp/owned)"),
        ("mirror", "http://mirror.example.org/$(touch /tmp/owned)"),
        ("mirror", 'http://mirror.example.org" bookworm'),
        ("mirror", "http://mirror.example.org\\n"),
        ("mirror", "file:/etc"),
        ("mirror", "http://mirror.example.org\nmirror http://other.example.org"),
        ("keyring", "a b"),
        ("key", 'command="touch /tmp/owned" ssh-ed25519 AAAA'),
        ("key", "ssh-ed25519 AAAA $(touch /tmp/owned)"),
    ],
)
def test_hostile_parameters_reach_nothing(here: Place, name: str, value: str) -> None:
    known = Server({}, b"key", 1).parameters(**{name: value})
    said = here.install(known)
    assert "invirt-install: failed: " in said and "asking for an address" not in said, said
    assert not (here.root / "tmp/owned").exists() and empty(here)


def test_what_is_not_signed_by_the_key_is_not_taken(here: Place, server: Server, folder: Path) -> None:
    """Nothing is written to the disk; nor if the list is another base's."""
    right = server.files["manifest.asc"]
    _, others = signed(listed(server.files["base.tar.zst"]), folder / "other")
    for manifest, why in (
        (others, "isn't signed"),
        (right.replace(b"base.tar", b"evil.tar"), "isn't signed"),
        (listed(b"").encode(), "isn't signed"),
        (signed(listed(b"", name="debian-11"), folder / "gnupg")[1], "isn't debian-12"),
        (signed(listed(b"", architecture="arm64"), folder / "gnupg")[1], "isn't for amd64"),
        (signed(listed(b"", file="$(touch /tmp/owned)"), folder / "gnupg")[1], "no file"),
    ):
        server.files["manifest.asc"] = manifest
        said = here.install(server.parameters())
        assert why in said and empty(here), said
    assert not (here.root / "tmp/owned").exists()


def test_a_base_of_another_suite_is_not_taken(here: Place, server: Server, folder: Path) -> None:
    """Nor one that tells of none, if its suite is asked for; else either is as right as before."""
    for told, asked, why in (
        ("trixie", {"suite": "bookworm"}, "what the server has there is of the suite trixie, not bookworm"),
        ("", {"suite": "bookworm"}, "the list of the base has no suite"),
        ("", {"mirror": MIRROR}, "the list of the base has no suite"),
    ):
        server.files["manifest.asc"] = signed(
            listed(server.files["base.tar.zst"], suite=told), folder / "gnupg"
        )[1]
        said = here.install(server.parameters(**asked))
        assert f"invirt-install: failed: {why}" in said and empty(here), said
    assert "100% done" in here.install(server.parameters())


def test_a_mirror_of_the_site_s(here: Place, server: Server, folder: Path) -> None:
    """Stands for the base's, but not for that of security updates."""
    for suite in ({"suite": "bookworm"}, {}):
        assert "100% done" in here.install(server.parameters(mirror=MIRROR, **suite))
        with here.installed() as target:
            found = (target / "etc/apt/sources.list").read_text()
            assert found == SOURCES.replace("http://deb.debian.org/debian bookworm", f"{MIRROR} bookworm")
            assert found.count(MIRROR) == 2
    assert "100% done" in here.install(server.parameters(suite="bookworm", mirror=""))
    with here.installed() as target:
        assert (target / "etc/apt/sources.list").read_text() == SOURCES


def test_a_mirror_that_stands_for_none(here: Place, server: Server, folder: Path) -> None:
    """As where a base's sources are of another suite than its list says: no other mirror without a word."""
    server.files["manifest.asc"] = signed(
        listed(server.files["base.tar.zst"], suite="trixie"), folder / "gnupg"
    )[1]
    said = here.install(server.parameters(mirror=MIRROR))
    assert f"failed: the base names no mirror of trixie that {MIRROR} could stand for" in said, said
    assert not here.disk.read_bytes()[:440].strip(b"\0")


def test_another_base_is_not_unpacked(here: Place, server: Server) -> None:
    right = server.files["base.tar.zst"]
    for base, why in (
        (right[:-1] + bytes([right[-1] ^ 1]), "its sum is another"),
        (right[:-1], f"the base is {len(right) - 1} bytes long, not {len(right)}"),
    ):
        server.files["base.tar.zst"] = base
        said = here.install(server.parameters())
        assert why in said, said
        with here.installed() as target:
            assert not (target / "filler").exists()


def test_a_server_that_has_nothing(here: Place, server: Server) -> None:
    server.files.clear()
    said = here.install(server.parameters())
    assert "/manifest.asc can't be fetched" in said and empty(here)


def test_a_server_that_is_not_there(here: Place, server: Server) -> None:
    port, server.port = server.port, 9  # where nobody listens
    said = here.install(server.parameters())
    assert "/manifest.asc can't be fetched: wget: can't connect" in said and empty(here)
    server.port = port
    assert "100% done" in here.install(server.parameters())


def script(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_the_site_s_own_script(here: Place, server: Server) -> None:
    """As root of the new system; what it says is seen, and where it fails nothing boots."""
    said = here.install(server.parameters(script=script("#!/bin/sh\ntouch /tried\necho no luck\nexit 7\n")))
    assert "no luck\n" in said and "invirt-install: failed: the site's own script ended with 7" in said, said
    assert not here.disk.read_bytes()[:440].strip(b"\0")
    said = here.install(server.parameters(script=script("#!/bin/sh\ntouch /done-on-$1 /dev/null\n")))
    assert "invirt-install: 100% done" in said
    with here.installed() as target:
        assert (target / "done-on-remus").exists()
        assert not (target / ".script").exists() and not (target / "tried").exists()
    assert "failed" in here.install(server.parameters(script="$(touch /tmp/owned)"))
    assert not (here.root / "tmp/owned").exists()


def test_a_disk_that_gets_full(here: Place, server: Server, folder: Path) -> None:
    """The list may say less than there is."""
    tree = here.root / "tree"
    tree.mkdir()
    with (tree / "zeros").open("wb") as file:
        file.truncate(512 << 20)
        os.posix_fallocate(file.fileno(), 0, 160 << 20)
    pack = "cd /tree && head -c 167772160 zeros | tr '\\000' 'x' >filler && rm zeros"
    pack += " && /usr/bin/tar -c . | /usr/bin/zstd -q -1"
    words = ["chroot", str(here.root), "/bin/sh", "-c", pack]
    base = subprocess.run(words, check=True, capture_output=True).stdout
    server.files = {"base.tar.zst": base, "manifest.asc": signed(listed(base), folder / "gnupg")[1]}
    said = here.install(server.parameters())
    assert "invirt-install: failed: the base can't be unpacked: the disk is full, or fails" in said, said
    assert not here.disk.read_bytes()[:440].strip(b"\0")


@pytest.mark.nightly
@pytest.mark.parametrize(
    "words", ["file system", "fetching", "checking", "unpacking", "settings", "keys", "loader"]
)
def test_the_power_goes_amid_it(here: Place, server: Server, words: str) -> None:
    """Nothing boots then, and it can be begun again."""
    here.cut(server.parameters(), words)
    assert not here.disk.read_bytes()[:440].strip(b"\0")
    assert "invirt-install: 100% done" in here.install(server.parameters())
    assert here.disk.read_bytes()[:440] == BOOT[:440]


def test_a_disk_that_is_too_small(ramdisk: Path, folder: Path) -> None:
    with place(ramdisk, folder, mebibytes=64) as small, serving(small.root, folder) as server:
        said = small.install(server.parameters())
        assert "failed: the disk has 64 MiB: debian-12 needs " in said and empty(small)
