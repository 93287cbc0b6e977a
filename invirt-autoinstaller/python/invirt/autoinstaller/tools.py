"""What a machine makes its system with, where no base is made ahead: mmdebstrap, in a Debian of its own.

It is packed, signed and served as a base is; the installer unpacks it beside the system that is to
be, puts the mirror that it was told, if any, into install/sources.list, and runs install/make in it.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from invirt.autoinstaller import recipes
from invirt.autoinstaller.recipes import Recipe

DEBIAN = recipes.RECIPES["debian-12"]  # what the tools themselves are of
MAKES = 800 << 20  # bytes that a system takes while it is made, its packages among them
_PACKAGES = ("mmdebstrap", "mount", "debian-archive-keyring", "ca-certificates")  # the last: for https
_INSTALL = Path("/install")  # in there: what is to be made, and how
_SOURCES = "sources.list"  # in there
_SYSTEM = Path("/mnt")  # where the installer shows it the machine's disk


def make(recipe: Recipe, debian: Recipe, to: Path, epoch: int) -> None:
    """Write to a tar archive what makes the recipe's system; debian: DEBIAN, with the mirrors that it is of.

    Raises CommandFailed with apt's complaints.
    """
    with tempfile.TemporaryDirectory(prefix="invirt-") as folder:
        install = Path(folder, _INSTALL.name)
        install.mkdir()
        (install / "make").write_text(script(recipe))
        (install / _SOURCES).write_text("".join(f"{line}\n" for line in recipe.sources()))
        shutil.copy(recipes.CUSTOMIZE, install)
        if recipe.keyring:
            shutil.copy(recipe.keyring, _keyring(install, recipe))
        recipes.called(debian, _words(debian, to, install), epoch)


def _words(debian: Recipe, to: Path, install: Path) -> list[str]:
    options = f"--include={','.join(_PACKAGES)}", f"--customize-hook=copy-in {install} /"
    return debian.variant("apt", to, *options)


def script(recipe: Recipe) -> str:
    """What runs in the guest: nothing in it is of the machine, or of its owner."""
    own = replace(recipe, keyring=str(_keyring(_INSTALL, recipe)) if recipe.keyring else "")
    # The tools themselves lie on the same disk, and have no gpg to compare keyrings with.
    more = ("--verbose", "--skip=check/empty,check/signed-by")
    words = shlex.join([*own.words(_SYSTEM, *more, customize=_INSTALL / recipes.CUSTOMIZE.name), "-"])
    return f"export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8\nexec {words} <{_INSTALL / _SOURCES}\n"


def _keyring(folder: Path, recipe: Recipe) -> Path:
    return folder / f"keyring{Path(recipe.keyring).suffix}"
