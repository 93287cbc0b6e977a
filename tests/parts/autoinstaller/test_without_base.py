"""Without a base: the machine makes its system itself, of a mirror's packages; some minutes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from invirt.autoinstaller import bases, tools
from tests.parts.autoinstaller import mirrors
from tests.parts.autoinstaller.guests import Computer, asked, image
from tests.parts.autoinstaller.mirrors import FEW, NAME, SUITE, Mirror, own
from tests.parts.autoinstaller.serving import Inside, kept, packed, served


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_by_mmdebstrap_in_the_guest(
    checkout: Path, state: Path, inside: Inside, mirror: Mirror, tmp_path: Path
) -> None:
    """To a login; and a mirror that another has signed is told from the right one by apt in the guest."""
    kept(checkout, state, "debian-12")
    mirrors.download(tmp_path / "packages", mirrors.packages(packed(state, "debian-12")))
    other = mirrors.empty(tmp_path / "other", SUITE, state / "other")
    recipe = replace(own(state / "bases", mirror.keyring, ahead=False), packages=FEW)
    bases.build(state, NAME, partial(tools.make, recipe, tools.DEBIAN), tools.MAKES)
    made, computer = image(checkout), Computer(state, inside)
    with served(checkout, state, inside):
        replace(other, folder=mirror.folder).publish("", tmp_path / "packages")
        said = computer.attempt(made, state, NAME)
        assert said[-1].startswith(f"failed: mmdebstrap can't make {NAME}: The repository"), said
        mirror.publish("", tmp_path / "packages")
        said = computer.install(made, state, NAME)
    percents = [int(step.partition("%")[0]) for step in said]
    assert percents == sorted(percents) and len(percents) > 40
    guest = computer.login(NAME)
    assert asked(guest, "hostname") == "remus\n"
    assert SUITE in asked(guest, "cat /etc/apt/sources.list")
    assert asked(guest, "ls -A / | grep -c '^[.]'; systemctl --failed --no-legend --no-pager") == "0\n"
    guest.close(force=True)
