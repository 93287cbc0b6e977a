"""Who publishes the packages, and where they and their source are found: fields of debian/control.

What is told once stays in the settings of the checkout's own git.  Where its source is, git knows
itself, if it has it from an address that others can read, too.
"""

from __future__ import annotations

import re
from pathlib import Path

from invirt.base.errors import BadInput
from invirt.base.process import run

HOMEPAGE, VCS = "invirt.homepage", "invirt.vcs"  # git's settings
_REMOTE = "remote.origin.url"
# Without a user, whose password might stand there, and without anything that a control file reads as its own.
_ADDRESS = re.compile(r"https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?(/[A-Za-z0-9._~+-]+)*/?")
_LONGEST = 200


def address(text: str) -> str:
    """An address of the web.  Raises BadInput."""
    if not _is_address(text):
        raise BadInput(f"{text!a} is not an address of the web", "https://example.org/invirt, without a user")
    return text


def tell(tree: Path, setting: str, text: str) -> None:
    """Keep an address for this and all later builds of tree."""
    run(["git", "-C", str(tree), "config", "--local", setting, address(text)])


def fields(tree: Path, maintainer: str) -> dict[str, str]:
    """What is known of it, by the fields' names; a homepage that nobody told is where the source is."""
    vcs = _told(tree, VCS) or _told(tree, _REMOTE)
    browser = vcs.removesuffix("/").removesuffix(".git")
    known = {
        "Maintainer": maintainer,
        "Homepage": _told(tree, HOMEPAGE) or browser,
        "Vcs-Git": vcs,
        "Vcs-Browser": browser,
    }
    return {name: text for name, text in known.items() if text}


def fill(control: str, known: dict[str, str]) -> str:
    """The text of debian/control with these fields in its first part, the source's."""
    source, blank, rest = control.partition("\n\n")
    first, *others = [line for line in source.split("\n") if line.partition(":")[0] not in known]
    added = [f"{name}: {text}" for name, text in known.items()]
    return "\n".join([first, *added, *others]) + blank + rest


def _told(tree: Path, setting: str) -> str:
    said = run(["git", "-C", str(tree), "config", "--get", setting], check=False).stdout.strip()
    return said if _is_address(said) else ""


def _is_address(text: str) -> bool:
    return len(text) <= _LONGEST and bool(_ADDRESS.fullmatch(text))
