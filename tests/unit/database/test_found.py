"""What the seeker of a role wrote is an order to ask in: nonsense is no word, and holds up nobody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from invirt import config
from invirt.database import connection, found

CONFIG = """\
site: {domain: invirt.test, realm: INVIRT.TEST}
database: {hostname: db.invirt.test, copies: [db2.invirt.test, db3.invirt.test]}
remote: {hostname: remote.invirt.test}
"""
NONSENSE = (
    b"",
    b"\n",
    b"INVIRT_DATABASE=\n",
    b"INVIRT_DATABASE=evil.invirt.test,db2.invirt.test\n",
    b"INVIRT_DATABASE=db2.invirt.test port=99\n",
    b"db2.invirt.test\0\n",
    b"\xff\xfe,db2.invirt.test\n",
    b"INVIRT_DATABASE=" + b"x" * 10000,
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the seeker of hosts writes."""
    (tmp_path / "invirt.yaml").write_text(CONFIG)
    monkeypatch.setenv("INVIRT_CONFIG", str(tmp_path / "invirt.yaml"))
    monkeypatch.setattr(found, "FOLDER", tmp_path)
    monkeypatch.setattr(connection.Last, "server", "")
    config.reload()
    found.folder("host").mkdir()
    yield found.folder("host") / found.FILE
    config.reload()


def asked(monkeypatch: pytest.MonkeyPatch, role: str) -> str:
    """The servers in the order in which a program of that role asks them."""
    monkeypatch.setattr(connection, "role", role)
    return str(connection.settings()["host"])


def test_who_has_it_is_asked_first(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By those of the role; the others then in invirt.yaml's order; whoever is there says what it has."""
    file.write_text(found.line(["db3.invirt.test", "db.invirt.test", "db2.invirt.test"]))
    assert asked(monkeypatch, "host") == "db3.invirt.test,db.invirt.test,db2.invirt.test"
    assert connection.settings()["target_session_attrs"] == "read-write"
    assert asked(monkeypatch, "remote") == "db.invirt.test,db2.invirt.test,db3.invirt.test"
    monkeypatch.setattr(connection.Last, "server", "db2.invirt.test")
    assert asked(monkeypatch, "host").startswith("db3.invirt.test,")
    assert asked(monkeypatch, "remote").startswith("db2.invirt.test,")


@pytest.mark.parametrize("said", NONSENSE)
def test_nonsense_is_no_word(file: Path, said: bytes) -> None:
    file.write_bytes(said)
    assert found.first("host") == ""


def test_what_is_no_file_is_no_word(file: Path, tmp_path: Path) -> None:
    """Nobody waits for a pipe, nor follows a link out of the seeker's folder."""
    assert found.first("host") == ""
    os.mkfifo(file)
    assert found.first("host") == ""
    file.unlink()
    (tmp_path / "other").write_text(found.line(["db2.invirt.test"]))
    file.symlink_to(tmp_path / "other")
    assert found.first("host") == ""
    file.unlink()
    file.mkdir()
    assert found.first("host") == ""
