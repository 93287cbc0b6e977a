"""Configurations of domains, evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from invirt.base.errors import BadInput, NotFound
from invirt.host import xmconfig
from invirt.host.domain import DomainConfig


def evaluated(path: Path, text: str, **variables: str) -> DomainConfig:
    path.write_text(text)
    return xmconfig.evaluate(path, variables)


def test_words_are_kept_and_the_files_own_names_are_not(tmp_path: Path) -> None:
    config = evaluated(
        tmp_path / "config",
        "import os\n_hidden = 1\nname = 'd_' + machine_name\nmemory = 2 * 64\nvcpus = 1\n"
        "disk = ['vdev=%s, target=/x' % d for d in ('hda', 'hdb')]\nextra = ''\nvif = []\n"
        "def helper(): pass\n",
        machine_name="remus",
    )
    assert config.settings == {
        "name": "d_remus",
        "memory": 128,
        "vcpus": 1,
        "disk": ["vdev=hda, target=/x", "vdev=hdb, target=/x"],
    }
    assert config.devices("disk")[1] == {"vdev": "hdb", "target": "/x"}
    assert DomainConfig.from_json(config.json()) == config


def test_a_word_that_xl_would_drop_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cpu_cap is not a word"):
        evaluated(tmp_path / "config", "name = 'd_x'\ncpu_cap = 50\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [("name = 'd_x'\nmemory = nothing\n", 2), ("\n\nname = (\n", 3), ("def f():\n    1 / 0\nf()\n", 2)],
)
def test_faults_are_told_with_their_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(BadInput, match=f"config:{line}: "):
        evaluated(tmp_path / "config", text)


def test_a_domain_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="sets no name"):
        evaluated(tmp_path / "config", "memory = 1\n")


def test_found_in_the_folder_or_by_path(state: Path) -> None:
    assert xmconfig.find("invirt-database") == state / "xen/invirt-database"
    assert xmconfig.find(str(state / "xen/invirt-database")) == state / "xen/invirt-database"
    with pytest.raises(NotFound):
        xmconfig.find("other")
