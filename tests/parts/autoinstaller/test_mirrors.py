"""Mirrors of a site's own distribution, of which no base is made."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from invirt.autoinstaller import bases, recipes
from invirt.base.errors import CommandFailed, NotFound
from tests.parts.autoinstaller import mirrors
from tests.parts.autoinstaller.mirrors import HOST, NAME, SUITE, Mirror, here, own
from tests.parts.autoinstaller.serving import Inside, served


def test_a_mirror_that_is_not_believed(
    checkout: Path, state: Path, inside: Inside, mirror: Mirror, tmp_path: Path
) -> None:
    """Signed by another's key, or dead: no base is made, and why is said."""
    other = mirrors.empty(tmp_path, SUITE, state / "other")
    wrong, dead = own(state / "bases", other.keyring), own(state / "dead", mirror.keyring, f"http://{HOST}:9")
    with served(checkout, state, inside):
        here(inside)
        for recipe, why in ((wrong, "NO_PUBKEY"), (dead, "Could not connect to 10.0.2.2:9")):
            with pytest.raises(CommandFailed, match=f"could not make {SUITE} of {recipe.mirror}") as failed:
                inside(partial(bases.build, state, NAME, partial(recipes.make, recipe)))
            assert why in failed.value.hint
            with pytest.raises(NotFound):
                bases.known(state, NAME)
