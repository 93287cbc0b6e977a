"""How long a system takes to be installed in a guest, to what it would take by hand, and without a base."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pexpect
import pytest

from invirt.autoinstaller import bases, recipes, tools
from invirt.base import cpio
from tests.parts.autoinstaller import mirrors
from tests.parts.autoinstaller.guests import APPEND, STEP, Computer, image
from tests.parts.autoinstaller.serving import Inside, kept, packed, served
from tests.parts.host.conftest import inside
from tests.results import Result, best, keep

__all__ = ["inside"]
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]
SUITE = "debian-12"
ALIKE = 0.3  # of the time that mmdebstrap takes for the same packages
WITHOUT = 1.3  # of it, where no base is made ahead
LONGEST = 2400  # seconds, for what takes a third of it
# What somebody would type in the installer's ramdisk who trusts the network, and wants only the files.
BEGIN = """\
set -e
ip link set eth0 up
udhcpc -i eth0 -n -q -s /etc/udhcpc >/dev/null 2>&1
echo 'start=2048, type=83, bootable' | /usr/bin/sfdisk -q /dev/vda
/usr/bin/mke2fs -q -F -t ext4 /dev/vda1
"""
UNPACK = """\
mount -t ext4 /dev/vda1 /target
wget -q -O - URL | /usr/bin/zstd -dcq | /usr/bin/tar -x -p --numeric-owner -C /target
umount /target
sync
echo 'invirt-install: 100% done'
"""
# In a system that has mmdebstrap, on a second disk.
MMDEBSTRAP = """\
mount -t ext4 /dev/vdb /target
mount -t ext4 /dev/vda1 /target/mnt
for folder in proc sys dev; do mount -o bind /$folder /target/$folder; done
chroot /target mmdebstrap --quiet --variant=minbase --mode=root --include=PACKAGES SUITE /mnt/root \
    'deb [trusted=yes] MIRROR SUITE COMPONENT'
umount /target/mnt
sync
echo 'invirt-install: 100% done'
"""


@pytest.fixture
def state(checkout: Path) -> Iterator[Path]:
    """Debian 12's base, where Apache can read it."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder, "state")
        kept(checkout, state, SUITE)
        Path(folder).chmod(0o755)
        yield state


def test_to_unpacking_by_hand(checkout: Path, state: Path, inside: Inside) -> None:
    """Signature, sum, settings, keys and loader cost little beside the unpacking."""
    made, computer = image(checkout), Computer(state, inside)
    url = f"http://{mirrors.HOST}:8180/{SUITE}/{bases.known(state, SUITE).file}"
    by_hand = _ramdisk(made, state, BEGIN + UNPACK.replace("URL", url))

    def ratio() -> float:
        ours = _installed(computer, made, state, SUITE)
        began = time.monotonic()
        guest = _boot(computer, made, by_hand)
        assert guest.expect(STEP) == 0 and guest.match[1] == "100% done", guest.before
        guest.close()
        bare = time.monotonic() - began
        keep(Result(f"{SUITE} installed from its base, emulated", ours, "s", bare=bare))
        return ours / bare

    with served(checkout, state, inside):
        best(f"{SUITE} installed, to unpacking the base by hand", ratio, 1.3)


def test_to_mmdebstrap(checkout: Path, state: Path, inside: Inside, tmp_path: Path) -> None:
    """The same packages by mmdebstrap in the same guest: to a base, and to what is done without one."""
    made, computer = image(checkout), Computer(state, inside)
    names = mirrors.packages(packed(state, SUITE))
    mirrors.download(tmp_path / "packages", names)
    (state / "public/mirror").mkdir()
    mirror = mirrors.empty(state / "public/mirror", mirrors.SUITE, state / "nobody")
    mirror.publish("", tmp_path / "packages")
    recipe = mirrors.own(state / "bases", mirror.keyring, ahead=False)
    bases.build(state, mirrors.NAME, partial(tools.make, recipe, tools.DEBIAN), tools.MAKES)
    by_hand, second = _ramdisk(made, state, BEGIN + _typed()), _tools(state, tmp_path)
    with served(checkout, state, inside):
        ours = _installed(computer, made, state, SUITE)
        without = _installed(computer, made, state, mirrors.NAME)
        began = time.monotonic()
        guest = _boot(computer, made, by_hand, "-drive", f"file={second},format=raw,if=virtio")
        ended = guest.expect(STEP, timeout=LONGEST)
        bare = time.monotonic() - began
        guest.close(force=True)
    assert ended == 0 and guest.match[1] == "100% done", guest.before
    for what, took, most in (("installed", ours, ALIKE), ("without a base", without, WITHOUT)):
        keep(Result(f"{SUITE} {what}, to mmdebstrap in the guest", took / bare, "times", most, bare=bare))
    assert ours / bare <= ALIKE and without / bare <= WITHOUT


def _typed() -> str:
    """Who trusts the mirror, and wants the packages only."""
    values = {
        "PACKAGES": ",".join(recipes.RECIPES[SUITE].packages),
        **{"SUITE": mirrors.SUITE, "MIRROR": mirrors.URL, "COMPONENT": mirrors.COMPONENT},
    }
    typed = MMDEBSTRAP
    for word, value in values.items():
        typed = typed.replace(word, value)
    return typed


def _installed(computer: Computer, image: Path, state: Path, name: str) -> float:
    """Seconds from power on to off."""
    began = time.monotonic()
    computer.install(image, state, name)
    return time.monotonic() - began


def _boot(computer: Computer, image: Path, ramdisk: Path, *more: str) -> pexpect.spawn:
    return computer.boot(
        *("-kernel", str(image / "vmlinuz"), "-initrd", str(ramdisk), "-append", APPEND, *more)
    )


def _ramdisk(image: Path, state: Path, script: str) -> Path:
    """The installer's, with that for its script; the later one of two archives counts."""
    made = state / "by-hand"
    archive = cpio.archive([cpio.file("install/main", script.encode(), 0o755)])
    made.write_bytes((image / "installer").read_bytes() + archive)
    return made


def _tools(state: Path, folder: Path) -> Path:
    """A disk with a system that has mmdebstrap: that of the machines which have no base."""
    root, disk = folder / "tools", folder / "tools.disk"
    root.mkdir()
    subprocess.run(
        ["tar", "--zstd", "-xpf", packed(state, mirrors.NAME), "-C", root], check=True, timeout=120
    )
    disk.touch()
    os.truncate(disk, 1 << 30)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(disk)], check=True, timeout=120)
    return disk
