"""Which site a computer belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from invirt.base.errors import BadConfig
from invirt.client import site

OWN = "remote: remote.example.org\nrealm: EXAMPLE.ORG\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(site, "_records", lambda: iter(()))
    yield tmp_path


def test_a_user_s_own_file_counts(home: Path) -> None:
    (home / "invirt.yaml").write_text(OWN + "console: console.example.org\n")
    assert site.find() == site.Site("remote.example.org", "EXAMPLE.ORG", "console.example.org")


def test_a_mistake_in_it_is_told_with_its_line(home: Path) -> None:
    (home / "invirt.yaml").write_text(OWN + "consle: x\n")
    with pytest.raises(BadConfig, match="invirt.yaml:3: consle: unknown key"):
        site.find()


def test_without_one_the_reader_learns_what_to_write() -> None:
    with pytest.raises(BadConfig, match="remote: remote.example.org"):
        site.find()


RECORDS = {
    "remote=remote.example.org realm=EXAMPLE.ORG": site.Site("remote.example.org", "EXAMPLE.ORG"),
    "remote=remote.example.org realm=EXAMPLE.ORG console=c.example.org": (
        site.Site("remote.example.org", "EXAMPLE.ORG", "c.example.org")
    ),
    "remote=remote.example.net realm=EXAMPLE.ORG": "names no site of example.org",
    "remote=evilexample.org realm=EXAMPLE.ORG": "names no site of example.org",
    "remote=-oProxyCommand.example.org realm=EXAMPLE.ORG": "names no site",
    "remote=remote.example.org": "has to say",
    "remote=remote.example.org realm=EXAMPLE.ORG x=y": "names no site",
    "": "has to say",
}


@pytest.mark.parametrize("text", RECORDS)
def test_a_record_names_servers_of_its_domain_or_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(site, "_records", lambda: iter([("_invirt.example.org", text)]))
    expected = RECORDS[text]
    if isinstance(expected, site.Site):
        assert site.find() == expected
    else:
        with pytest.raises(BadConfig, match=expected):
            site.find()
