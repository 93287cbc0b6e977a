"""What it takes to install a system in a guest, to what it would take by hand, and without a base.

In seconds of the emulators' processor time, as neighbours change little in it; a guest waits for little.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
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
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(7200)]
SUITE = "debian-12"
ALIKE = 0.3  # of the time that mmdebstrap takes for the same packages
WITHOUT = 1.3  # of it, where no base is made ahead
AHEAD = "nobody-ahead"  # the same as mirrors.NAME, with a base
LONGEST = 3600  # seconds, for what takes a third of it
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

    def unpacked() -> None:
        _ended(_boot(computer, made, by_hand))

    def ratio() -> float:
        ours, bare = _used(lambda: computer.install(made, state, SUITE)), _used(unpacked)
        keep(Result(f"{SUITE} installed from its base, emulated", ours, "s", bare=bare))
        return ours / bare

    with served(checkout, state, inside):
        best(f"{SUITE} installed, to unpacking the base by hand", ratio, 1.3)


def test_to_mmdebstrap(checkout: Path, state: Path, inside: Inside, tmp_path: Path) -> None:
    """The same packages by mmdebstrap in the same guest: to a base, and to what is done without one."""
    made, computer = image(checkout), Computer(state, inside)
    recipe = _mirrored(state, tmp_path)
    bases.build(state, mirrors.NAME, partial(tools.make, recipe, tools.DEBIAN), tools.MAKES)
    by_hand, second = _ramdisk(made, state, BEGIN + _typed()), _tools(state, tmp_path)

    def bare() -> None:
        _ended(_boot(computer, made, by_hand, "-drive", f"file={second},format=raw,if=virtio"))

    with served(checkout, state, inside):
        mirrors.here(inside)
        inside(partial(bases.build, state, AHEAD, partial(recipes.make, recipe)))
        by_mmdebstrap = _used(bare)
        for name, what, most in (
            (AHEAD, "installed from a base", ALIKE),
            (mirrors.NAME, "installed without a base", WITHOUT),
        ):
            took = _used(partial(computer.install, made, state, name))
            keep(Result(f"{what}, emulated", took, "s", bare=by_mmdebstrap))
            result = keep(Result(f"{what}, to mmdebstrap in the guest", took / by_mmdebstrap, "times", most))
            assert result.reached, result


def _mirrored(state: Path, folder: Path) -> recipes.Recipe:
    """Of few packages, from a mirror that is served beside the bases."""
    mirrors.download(folder / "packages", (*mirrors.MINIMAL, *mirrors.FEW))
    (state / "public/mirror").mkdir()
    mirror = mirrors.empty(state / "public/mirror", mirrors.SUITE, state / "nobody")
    mirror.publish("", folder / "packages")
    return replace(mirrors.own(state / "bases", mirror.keyring, ahead=False), packages=mirrors.FEW)


def _typed() -> str:
    """Who trusts the mirror, and wants the packages only."""
    values = {
        "PACKAGES": ",".join(mirrors.FEW),
        **{"SUITE": mirrors.SUITE, "MIRROR": mirrors.URL, "COMPONENT": mirrors.COMPONENT},
    }
    typed = MMDEBSTRAP
    for word, value in values.items():
        typed = typed.replace(word, value)
    return typed


def _used(work: Callable[[], object]) -> float:
    """Seconds of processor time of the guests that work boots and ends."""
    before = _children()
    work()
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _ended(guest: pexpect.spawn) -> None:
    """Wait for what was done by hand."""
    ended = guest.expect(STEP, timeout=LONGEST)
    guest.close(force=True)
    assert ended == 0 and guest.match[1] == "100% done", guest.before


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
