"""Without a base: the machine makes its system itself, of a mirror's packages; some minutes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from invirt.autoinstaller import bases, tools
from tests.parts.autoinstaller import mirrors
from tests.parts.autoinstaller.guests import Computer, asked, image
from tests.parts.autoinstaller.mirrors import NAME, SUITE, Mirror, own
from tests.parts.autoinstaller.serving import Inside, kept, served


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_by_mmdebstrap_in_the_guest(
    checkout: Path, state: Path, inside: Inside, mirror: Mirror, tmp_path: Path
) -> None:
    """To a login; and a mirror that another has signed is told from the right one by apt in the guest."""
    kept(checkout, state, "debian-12")
    base = state / bases.PUBLIC / "debian-12" / bases.known(state, "debian-12").file
    mirrors.download(tmp_path / "packages", mirrors.packages(base))
    mirror.publish("", tmp_path / "packages")
    other = mirrors.empty(tmp_path, SUITE, state / "other")
    recipe = own(state / "bases", mirror.keyring, ahead=False)
    for name, keyring in ((NAME, mirror.keyring), ("wrong", other.keyring)):
        make = partial(tools.make, replace(recipe, keyring=str(keyring)), tools.DEBIAN)
        bases.build(state, name, make, tools.MAKES)
    made, computer = image(checkout), Computer(state, inside)
    with served(checkout, state, inside):
        said = computer.attempt(made, state, "wrong")
        assert said[-1].startswith("failed: mmdebstrap can't make wrong: The repository"), said
        said = computer.install(made, state, NAME)
    percents = [int(step.partition("%")[0]) for step in said]
    assert percents == sorted(percents) and len(percents) > 40
    guest = computer.login(NAME)
    assert asked(guest, "hostname") == "remus\n"
    assert SUITE in asked(guest, "cat /etc/apt/sources.list")
    assert asked(guest, "ls -A / | grep -c '^[.]'; systemctl --failed --no-legend --no-pager") == "0\n"
    guest.close(force=True)
