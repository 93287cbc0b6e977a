"""The audit's seals: of what is committed, in one chain; whoever changes or takes out something is found."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from invirt.base import cli
from invirt.database.commands.audit import COMMAND
from invirt.database.sealing import Sealer
from tests.parts.database.rows import machine, site
from tests.parts.postgres import Database

INSERT = (
    "INSERT INTO audit (principal, command, outcome, machine_name) VALUES ('alice@X', 'machine', %s, 'remus')"
)


@pytest.fixture
def sealed(database: Database) -> Iterator[Database]:
    """Ten rows, sealed by what the service does; one was undone, and one committed after later ones."""
    site(database)
    machine(database, "remus")
    with database.connect("invirt_remote") as late, database.connect("invirt_remote") as undone:
        late.autocommit = undone.autocommit = False
        late.cursor().execute(INSERT, ("late",))
        undone.cursor().execute(INSERT, ("undone",))
        undone.rollback()
        for number in range(9):
            database.execute(INSERT, (str(number),), user="invirt_remote")
        seal(database)
        late.commit()
    seal(database)
    yield database


def seal(database: Database) -> None:
    with database.connect("postgres") as connected, connected.cursor() as cursor:
        Sealer("test").turn(cursor)


def audit(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What invirt-audit says."""
    assert cli.main(COMMAND, words) == code, capsys.readouterr()
    return capsys.readouterr().out


def test_all_that_was_committed_is_sealed_once(sealed: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of their ends; the export goes on from any position, and names the machine that it was."""
    assert audit(capsys, "verify").startswith("all is as it was sealed\nlast seal 10:")
    lines = [json.loads(line) for line in audit(capsys, "export").splitlines()]
    assert [line["position"] for line in lines] == list(range(1, 11))
    assert [line["outcome"] for line in lines] == [*map(str, range(9)), "late"]
    assert {line["machine_id"] for line in lines} == {
        number for (number,) in sealed.execute("SELECT machine_id FROM machines")
    }
    assert [json.loads(line) for line in audit(capsys, "export", "--after", "7").splitlines()] == lines[7:]
    assert sealed.execute("SELECT FROM audit_unsealed") == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("UPDATE audit SET principal = 'bob@X' WHERE outcome = '4'", "5: the row 7 is not as it was sealed"),
        ("UPDATE audit SET machine_id = 7 WHERE outcome = '4'", "5: the row 7 is not as it was sealed"),
        ("DELETE FROM audit WHERE outcome = '4'", "5: the row 7 is gone"),
        ("DELETE FROM audit_seals WHERE position = 5", "6: the seals before it are gone"),
        ("DELETE FROM audit_seals WHERE position = 10", "the row 1 has no seal, and waits for none"),
        ("DELETE FROM audit_seals WHERE position = 1", "2: the seals before it are gone"),
    ],
)
def test_what_was_changed_or_cut_is_found(
    sealed: Database, capsys: pytest.CaptureFixture[str], query: str, said: str
) -> None:
    sealed.execute(query)
    assert said in audit(capsys, "verify", code=1)


def test_an_end_that_was_cut_off_is_found_by_a_seal_that_is_known(
    sealed: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    known = audit(capsys, "verify").split()[-1]
    assert audit(capsys, "verify", "--seal", known)
    sealed.execute("DELETE FROM audit WHERE outcome = 'late'")
    sealed.execute("DELETE FROM audit_seals WHERE position = 10")
    audit(capsys, "verify")
    assert "the seal that was known is not there" in audit(capsys, "verify", "--seal", known, code=1)
    audit(capsys, "verify", "--seal", "7:x", code=2)
