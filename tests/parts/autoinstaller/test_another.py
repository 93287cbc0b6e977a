"""A distribution that an administrator adds, from a mirror of the test's own; a newer kernel by apt."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from invirt.autoinstaller import bases, recipes
from tests.parts.autoinstaller import mirrors
from tests.parts.autoinstaller.guests import DEADLINE, Computer, asked, image, off
from tests.parts.autoinstaller.mirrors import FEW, NAME, SUITE, Mirror, here, own
from tests.parts.autoinstaller.serving import Inside, kept, served

KERNEL = "linux-image-cloud-amd64"


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_from_its_mirror_to_a_newer_kernel(
    checkout: Path, state: Path, inside: Inside, mirror: Mirror, tmp_path: Path
) -> None:
    """apt works in it, and what it brings boots next."""
    kept(checkout, state, "debian-12")
    newer, older = (mirrors.image_of(KERNEL, version) for version in mirrors.versions(KERNEL)[:2])
    recipe = replace(own(state / "bases", mirror.keyring), packages=(*FEW, "zstd", "lz4"))
    packages = [*mirrors.MINIMAL, *(name for name in recipe.packages if name != KERNEL)]
    mirrors.download(tmp_path / "old", [*packages, older, f"{KERNEL}={older.partition('=')[2]}"])
    mirror.publish("", tmp_path / "old")
    with served(checkout, state, inside):
        here(inside)
        inside(partial(bases.build, state, NAME, partial(recipes.make, recipe)))
        computer = Computer(state, inside)
        computer.install(image(checkout), state, NAME)
        guest = computer.login(NAME)
        first = asked(guest, "uname -r").strip()
        assert f"linux-image-{first}={older.partition('=')[2]}" == older
        mirrors.download(tmp_path / "new", [newer, f"{KERNEL}={newer.partition('=')[2]}"])
        mirror.publish("-security", tmp_path / "new")
        assert SUITE in asked(guest, "cat /etc/apt/sources.list")
        # Of the drivers that this machine needs: a ramdisk of all takes a quarter of an hour, emulated.
        asked(guest, "echo MODULES=dep >/etc/initramfs-tools/conf.d/few")
        asked(guest, "mkdir /boot/pvgrub")  # as in a guest of Xen's kind PV
        typed = "apt-get -q update && apt-get -qq -y full-upgrade </dev/null; echo ended-$?"
        said = asked(guest, typed, 2 * DEADLINE)
        assert "ended-0" in said, said
        version = newer.partition("=")[0].removeprefix("linux-image-")
        assert asked(guest, "head -c 4 /boot/pvgrub/vmlinuz | tail -c 3").strip() == "ELF"
        assert asked(guest, f"grep -q 'Linux version {version} ' /boot/pvgrub/vmlinuz; echo $?") == "0\n"
        computer.tell("apt has brought a newer kernel")
        off(guest)
    guest = computer.login(NAME)
    assert newer.startswith(f"linux-image-{asked(guest, 'uname -r').strip()}=")
    assert asked(guest, "systemctl --failed --no-legend --no-pager") == ""
    guest.close(force=True)
