"""What debian/control says of who publishes the packages: addresses that others may read, no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from invirt.base.errors import BadInput
from invirt.base.process import run
from invirt_lab import publisher

CONTROL = """\
Source: invirt
Section: admin
Maintainer: Nobody <nobody@invirt.test>
Build-Depends:
 debhelper-compat (= 13),

Package: invirt-base
Maintainer: of a package, which there isn't
"""
PERSON = "Ada Roe <ada@example.org>"
REFUSED = (
    "",
    "ftp://example.org/invirt",
    "git@example.org:invirt.git",
    "https://ada:secret@example.org/invirt.git",
    "https://example.org/invirt\nMaintainer: Eve <eve@example.org>",
    "https://example.org/invirt [x]",
    "https://example.org/" + "x" * 200,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout."""
    run(["git", "init", "--quiet", str(tmp_path)])
    return tmp_path


def remote(tree: Path, url: str) -> None:
    """Where the checkout is from."""
    run(["git", "-C", str(tree), "config", "remote.origin.url", url])


def test_fields_stand_in_the_source_s_part_once() -> None:
    known = {"Maintainer": PERSON, "Homepage": "https://example.org/"}
    made = publisher.fill(CONTROL, known)
    assert made == publisher.fill(made, known)
    assert made == CONTROL.replace(
        "Section: admin\nMaintainer: Nobody <nobody@invirt.test>\n",
        f"Maintainer: {PERSON}\nHomepage: https://example.org/\nSection: admin\n",
    )


def test_where_the_source_is_git_knows(tree: Path) -> None:
    assert publisher.fields(tree, "") == {}
    remote(tree, "https://git.example.org/invirt.git")
    browser = "https://git.example.org/invirt"
    source, homepage = {"Vcs-Git": f"{browser}.git", "Vcs-Browser": browser}, {"Homepage": browser}
    assert publisher.fields(tree, PERSON) == {"Maintainer": PERSON, **homepage, **source}
    publisher.tell(tree, publisher.HOMEPAGE, "https://example.org/")
    assert publisher.fields(tree, "") == {"Homepage": "https://example.org/", **source}
    publisher.tell(tree, publisher.VCS, "https://other.example.org/invirt")
    assert publisher.fields(tree, "")["Vcs-Git"] == "https://other.example.org/invirt"


@pytest.mark.parametrize("text", REFUSED)
def test_nothing_else_is_published(tree: Path, text: str) -> None:
    """A remote's password, for instance."""
    with pytest.raises(BadInput):
        publisher.tell(tree, publisher.VCS, text)
    remote(tree, text)
    assert publisher.fields(tree, "") == {}
