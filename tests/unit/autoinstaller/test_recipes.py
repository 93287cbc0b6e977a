"""How bases are made: Debian's, and those of a site's own files."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from invirt.autoinstaller import bases, recipes, tools
from invirt.autoinstaller.bases import Base
from invirt.autoinstaller.commands.autoinstaller import COMMAND
from invirt.autoinstaller.recipes import Recipe
from invirt.base import cli
from invirt.base.errors import BadConfig, NotFound

OWN = """\
suite: jammy
mirror: http://mirror.example.org/ubuntu
security: http://mirror.example.org/ubuntu
keyring: /usr/share/keyrings/ubuntu-archive-keyring.gpg
components: [main, universe]
packages: [linux-image-virtual, grub-pc-bin, openssh-server]
"""


def test_a_site_s_own(tmp_path: Path) -> None:
    (tmp_path / "ubuntu-22-04.yaml").write_text(OWN)
    assert list(recipes.known(tmp_path)) == ["debian-12", "debian-13", "ubuntu-22-04"]
    recipe = recipes.recipe("ubuntu-22-04", tmp_path)
    words = recipe.words(Path("/made.tar"))
    assert words[0] == "mmdebstrap" and "--architectures=amd64" in words
    keyring = "/usr/share/keyrings/ubuntu-archive-keyring.gpg"
    assert f"--keyring={keyring}" in words
    assert f"--customize-hook=upload {keyring} /etc/apt/trusted.gpg.d/base.gpg" in words
    assert "--include=apt,linux-image-virtual,grub-pc-bin,openssh-server" in words
    assert words[-2:] == ["jammy", "/made.tar"]
    assert recipe.sources() == [
        "deb http://mirror.example.org/ubuntu jammy main universe",
        "deb http://mirror.example.org/ubuntu jammy-updates main universe",
        "deb http://mirror.example.org/ubuntu jammy-security main universe",
    ]


def test_debian_s(tmp_path: Path) -> None:
    recipe = recipes.recipe("debian-12", tmp_path / "none")
    assert not [word for word in recipe.words(Path("/made.tar")) if word.startswith("--keyring")]
    assert recipe.sources()[-1] == "deb http://deb.debian.org/debian-security bookworm-security main"
    with pytest.raises(NotFound, match="nobody knows how the base debian-99 is made") as caught:
        recipes.recipe("debian-99", tmp_path)
    assert "debian-12, debian-13; or " in caught.value.hint


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("suite: --hook=x", "a word of"),
        ("mirror: 'file:/etc'", "a mirror's URL"),
        ("mirror: 'http://a.example.org/$(touch /tmp/owned)'", "a mirror's URL"),
        ('security: "http://a.example.org/ sid main\\ndeb http://b.example.org"', "a mirror's URL"),
        ("keyring: '/a b'", "a file's path"),
        ("packages: ['a,b']", "a word of"),
        ("components: main", "a list was expected"),
        ("architecture: arm64", "what hosts boot: amd64"),
        ("architecture: 'amd64,arm64'", "what hosts boot: amd64"),
        ("hook: touch", "unknown key"),
    ],
)
def test_what_is_none(tmp_path: Path, line: str, why: str) -> None:
    """Nothing of it may be another option of mmdebstrap's, or another line of sources.list."""
    key = line.partition(":")[0]
    kept = "".join(f"{other}\n" for other in OWN.splitlines() if not other.startswith(f"{key}:"))
    (tmp_path / "own.yaml").write_text(f"{kept}{line}\n")
    with pytest.raises(BadConfig, match=why):
        recipes.known(tmp_path)


def test_a_name_that_no_installer_takes(tmp_path: Path) -> None:
    (tmp_path / "Ubuntu 22.yaml").write_text(OWN)
    with pytest.raises(BadConfig, match="a base can't be called 'Ubuntu 22'"):
        recipes.known(tmp_path)


def test_without_a_base(tmp_path: Path) -> None:
    """What runs in a guest names nothing of this server's, and looks at signatures as this server would."""
    (tmp_path / "own.yaml").write_text(f"{OWN}ahead: false\n")
    recipe = recipes.recipe("own", tmp_path)
    assert not recipe.ahead and recipes.recipe("debian-12", tmp_path).ahead
    script = tools.script(recipe)
    words = shlex.split(script.splitlines()[-1])
    assert words[:2] == ["exec", "mmdebstrap"]
    # A file that it is named would be none of /etc/apt/sources.list, where the installer looks for mirrors.
    assert words[-4:] == ["jammy", "/mnt", "-", "</install/sources.list"]
    assert "mirror.example.org" not in script
    assert "--keyring=/install/keyring.gpg" in words and "ubuntu-archive-keyring" not in script
    assert '--customize-hook=sh /install/customize "$1"' in words
    assert "trusted=" not in script and "--force" not in script


def test_what_makes_a_system_has_its_sources_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the installer finds the mirror."""
    recipe = recipes.RECIPES["debian-13"]
    found: dict[str, str] = {}

    def called(debian: Recipe, words: list[str], epoch: int) -> None:
        [hook] = [word for word in words if "=copy-in " in word]
        found.update({path.name: path.read_text() for path in Path(hook.split()[1]).iterdir()})

    monkeypatch.setattr(recipes, "called", called)
    tools.make(recipe, tools.DEBIAN, tmp_path / "made.tar", 0)
    assert found["sources.list"].splitlines() == recipe.sources() and found["sources.list"].endswith("\n")
    assert found["make"] == tools.script(recipe)


def test_what_is_built_says_its_suite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[object] = []

    def build(state: Path, name: str, *more: object) -> Base:
        told.extend(more[1:])
        return Base(name, "base.tar.zst", 1, "0", 1, 0)

    monkeypatch.setattr(bases, "build", build)
    assert cli.main(COMMAND, ["build", "debian-13", "--folder", str(tmp_path)]) == 0
    assert told == [0, "amd64", "trixie"]
    assert cli.main(COMMAND, ["build", "debian-13", "--mirror", "file:/etc"]) == 2


def test_another_mirror_of_debian_s(tmp_path: Path) -> None:
    """Is not taken for that of another distribution."""
    (tmp_path / "own.yaml").write_text(OWN)
    mirror = "http://mirror.example.org/debian"
    own, debian = (recipes.recipe(name, tmp_path).by(mirror, None) for name in ("own", "debian-12"))
    assert own == recipes.recipe("own", tmp_path)
    assert (debian.mirror, debian.security) == (mirror, recipes.SECURITY)
