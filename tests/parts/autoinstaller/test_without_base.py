"""Without a base: the machine makes its system itself, of a mirror's packages; some minutes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from invirt.autoinstaller import bases, tools
from tests.parts.autoinstaller import mirrors
from tests.parts.autoinstaller.guests import Computer, asked, image
from tests.parts.autoinstaller.mirrors import FEW, NAME, NOWHERE, SUITE, URL, Mirror, own
from tests.parts.autoinstaller.serving import Inside, kept, served


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_by_mmdebstrap_in_the_guest(
    checkout: Path, state: Path, inside: Inside, mirror: Mirror, tmp_path: Path
) -> None:
    """To a login, of the mirror that it was told; and apt in the guest tells one that another has signed."""
    kept(checkout, state, "debian-12")
    mirrors.download(tmp_path / "packages", (*mirrors.MINIMAL, *FEW))
    other = mirrors.empty(tmp_path / "other", SUITE, state / "other")
    recipe = replace(own(state / "bases", mirror.keyring, ahead=False), packages=FEW, mirror=NOWHERE)
    bases.build(state, NAME, partial(tools.make, recipe, tools.DEBIAN), tools.MAKES, suite=SUITE)
    made = image(checkout)
    computer = Computer(state, inside, f"suite {SUITE}\nmirror {URL}\n")
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
    sources = asked(guest, "cat /etc/apt/sources.list")
    assert sources.count(f"deb {URL} {SUITE}") == 3 and NOWHERE not in sources
    assert asked(guest, "ls -A / | grep -c '^[.]'; systemctl --failed --no-legend --no-pager") == "0\n"
    guest.close(force=True)
