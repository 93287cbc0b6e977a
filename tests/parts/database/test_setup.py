"""invirt-database-setup on a database that is there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from invirt.database import server
from tests.parts.postgres import Database


@pytest.fixture(autouse=True)
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SETTINGS", tmp_path)
    (tmp_path / "site.sql").write_text("SELECT 1")


def _token(database: Database) -> int:
    ((token,),) = database.execute("SELECT nextval('operation_token')")
    return int(token)


def test_tokens_of_a_restored_database_are_higher_than_all_before(database: Database) -> None:
    server.migrate()
    before = [_token(database) for _ in range(5)][-1]
    database.execute("SELECT setval('operation_token', 1)")  # as in an old backup
    time.sleep(0.01)  # nobody restores faster than that
    server.migrate()
    assert _token(database) > before


def test_tokens_never_fall_back(database: Database) -> None:
    database.execute("SELECT setval('operation_token', %s)", (1 << 60,))
    server.migrate()
    assert _token(database) == (1 << 60) + 1
