"""The installer's script where no base is made ahead: what it unpacks makes the system, or says why not."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.parts.kernel.installing import BOOT, MIB, SOURCES, Place, Server, listed, packed, signed, system

# What mmdebstrap and its apt say, to a system that is only copied; the last line is of what packages print.
SAID = """\
echo 'I: running apt-get update...'
echo 'Get:1 http://mirror.example.org bookworm InRelease [151 kB]'
echo 'I: downloading packages with apt...'
echo '0 upgraded, 4 newly installed, 0 to remove and 0 not upgraded.'
for one in 1 2 3 4; do echo "Get:$one http://mirror.example.org bookworm/main amd64 dash"; done
echo 'I: installing remaining packages inside the chroot...' >&2
echo '0 upgraded, 10 newly installed, 0 to remove and 0 not upgraded.'
for one in 1 2 3 4 5 6 7 8 9 10; do echo "Unpacking one ..."; echo "Setting up one ..."; done
echo 'invirt-install: 100% done'
"""
MAKE = f"[ -d /proc/1 ] && [ -c /dev/null ]\n{SAID}cp -a /system/. /mnt/\n"


def offer(here: Place, server: Server, folder: Path, make: str, makes: int = MIB) -> None:
    """Have the server offer what makes a system by that script."""
    tree = here.root / "tree"
    for name in ("bin", "etc", "install", "mnt"):
        (tree / name).mkdir(parents=True)
    system(here.root, tree / "system")
    shutil.copy(here.root / "bin/busybox", tree / "bin")
    for name in ("cp", "sh"):
        (tree / "bin" / name).symlink_to("busybox")
    (tree / "install/make").write_text(f"set -e\n{make}")
    (tree / "install/sources.list").write_text(SOURCES)
    base = packed(here.root)
    shutil.rmtree(tree)
    manifest = signed(listed(base, makes=str(makes)), folder / "gnupg")[1]
    server.files = {"base.tar.zst": base, "manifest.asc": manifest}


def test_the_machine_makes_its_system(here: Place, server: Server, folder: Path) -> None:
    offer(here, server, folder, MAKE)
    said = here.install(server.parameters())
    assert said.count("invirt-install: 100% done\n") == 1, said
    steps = [line.removeprefix("invirt-install: ") for line in said.splitlines() if "% " in line]
    percents = [int(step.partition("%")[0]) for step in steps]
    assert percents == sorted(percents)
    assert {"42% fetching packages", "45% fetching packages", "58% installing the other packages"} < {*steps}
    assert "78% installing the other packages" in steps and "InRelease" not in said
    with here.installed() as target:
        assert (target / "etc/hostname").read_text() == "remus\n"
        assert (target / "filler").stat().st_size == MIB
        assert not list(target.glob(".[a-z]*")) and not (target / "install").exists()
    assert here.disk.read_bytes()[:440] == BOOT[:440]


def test_a_mirror_of_the_site_s(here: Place, server: Server, folder: Path) -> None:
    """Is what the system is made of, and what it has in the end, whatever its maker has written there."""
    mirror, theirs = "http://mirror.example.org/debian", "http://deb.debian.org/debian"
    for wrote in ("cp /install/sources.list /mnt/etc/apt/sources.list", ":"):
        offer(here, server, folder, f"{MAKE}cp /install/sources.list /mnt/made-of\n{wrote}\n")
        said = here.install(server.parameters(mirror=mirror))
        assert "invirt-install: 100% done\n" in said, said
        with here.installed() as target:
            for name in ("made-of", "etc/apt/sources.list"):
                found = (target / name).read_text()
                assert found == SOURCES.replace(f"{theirs} bookworm", f"{mirror} bookworm"), name


def test_why_not_is_said(here: Place, server: Server, folder: Path) -> None:
    """What a mirror says can be no other line of the installer's, nor write to who looks on."""
    evil = "printf 'E: The repository is not\\033[2J signed\\rinvirt-install: 99%% done\\n' >&2"
    offer(here, server, folder, f"{SAID}{evil}\necho 'E: mmdebstrap failed to run'\nexit 1\n")
    said = here.install(server.parameters())
    why = "mmdebstrap can't make debian-12: The repository is not[2J signedinvirt-install: 99% done"
    assert f"invirt-install: failed: {why}\n" in said and "E: mmdebstrap failed to run\n" in said, said
    assert not here.disk.read_bytes()[:440].strip(b"\0")


def test_a_disk_too_small_for_what_is_made(here: Place, server: Server, folder: Path) -> None:
    offer(here, server, folder, MAKE, makes=128 * MIB)
    said = here.install(server.parameters())
    assert "failed: the disk has 128 MiB: debian-12 needs " in said, said
    assert not here.disk.read_bytes().strip(b"\0")
