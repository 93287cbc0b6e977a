"""Looks: by functions alone, which write it down; nobody is told a hash, or what one shows without it."""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg2
import psycopg2.errors
import pytest

from invirt.base.errors import BadInput, NoRoom
from invirt.database.refusals import explain
from tests.parts.database.rows import machine, site
from tests.parts.postgres import Database

ADD = "SELECT look_id FROM add_look(%s, %s, %s)"
END = "SELECT end_looks('alice@X', %s, %s)"


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def add(database: Database, machine: int, text: str, who: str = "alice@X") -> int:
    ((number,),) = database.execute(ADD, (who, machine, digest(text)), "invirt_remote")
    assert isinstance(number, int)
    return number


def shown(database: Database, text: str) -> list[Any]:
    return database.execute("SELECT machine_id FROM web.look(%s)", (digest(text),), "invirt_web")


@pytest.fixture
def remus(database: Database) -> int:
    """The number of a machine of alice's."""
    site(database)
    machine(database, "remus")
    database.execute("INSERT INTO members SELECT owner_id, 'alice@X' FROM owners ON CONFLICT DO NOTHING")
    ((number,),) = database.execute("SELECT machine_id FROM machines")
    assert isinstance(number, int)
    return number


def test_who_has_one_is_told_what_it_shows(database: Database, remus: int) -> None:
    """For an hour, and as long as its maker may do all to the machine, whom it belongs to."""
    number = add(database, remus, "a")
    assert shown(database, "a") == [(remus,)] and shown(database, "b") == []
    ((seconds,),) = database.execute("SELECT seconds FROM web.look(%s)", (digest("a"),), "invirt_web")
    assert isinstance(seconds, float) and 3500 < seconds <= 3600
    row = database.execute("SELECT look_id, machine_id, principal FROM looks", user="invirt_web")
    assert row == [(number, remus, "alice@X")]
    database.execute("INSERT INTO machine_access VALUES (%s, 'alice@X')", (remus,))
    database.execute("DELETE FROM members")
    assert shown(database, "a") == [], "she is let in, and no more"
    database.execute("INSERT INTO administrators VALUES ('alice@X')")
    assert shown(database, "a") == [(remus,)]
    database.execute("UPDATE console_looks SET ends_at = now()")
    assert shown(database, "a") == [] and database.execute("SELECT * FROM looks") == []


def test_it_goes_with_the_machine(database: Database, remus: int) -> None:
    add(database, remus, "a")
    database.execute("DELETE FROM machines", user="invirt_remote")
    assert database.execute("SELECT * FROM console_looks") == []


@pytest.mark.parametrize(
    "user", ["invirt_remote", "invirt_web", "invirt_host", "invirt_console", "invirt_dns"]
)
def test_nobody_reads_hashes_or_writes_otherwise(database: Database, remus: int, user: str) -> None:
    add(database, remus, "a")
    queries = [
        "SELECT hash FROM public.console_looks",
        "INSERT INTO public.console_looks (machine_id, principal, hash)"
        f" VALUES ({remus}, 'bob@X', sha256('x'))",
        "UPDATE public.console_looks SET ends_at = now()",
        "DELETE FROM public.console_looks",
    ]
    if user != "invirt_remote":
        queries += [f"SELECT public.add_look('bob@X', {remus}, sha256('x'))",
                    f"SELECT public.end_looks('alice@X', {remus}, NULL)"]  # fmt: skip
    if user != "invirt_web":
        queries.append("SELECT * FROM web.look(sha256('a'))")
    for query in queries:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            database.execute(query, user=user)


def test_one_or_all_end_and_it_is_written_down(database: Database, remus: int) -> None:
    machine(database, "romulus")
    ((romulus,),) = database.execute("SELECT machine_id FROM machines WHERE name = 'romulus'")
    numbers = [add(database, remus, text) for text in "abc"]
    assert isinstance(romulus, int)
    add(database, romulus, "other")

    def ended(number: int | None) -> object:
        return database.execute(END, (remus, number), "invirt_remote")[0][0]

    assert ended(numbers[1]) == 1 and ended(numbers[1]) == 0
    assert shown(database, "a") and not shown(database, "b")
    assert ended(None) == 2 and not shown(database, "a") and shown(database, "other")
    said = database.execute("SELECT command, arguments FROM audit WHERE command ~ 'look' ORDER BY audit_id")
    assert said[:3] == [("add_look", str(number)) for number in numbers]
    assert sorted(said[4:]) == [("end_looks", str(number)) for number in sorted(numbers)]


def test_there_are_so_many(database: Database, remus: int) -> None:
    """Those that have ended don't count."""
    for number in range(10):
        add(database, remus, f"t{number}")
    with pytest.raises(psycopg2.Error) as raised:
        add(database, remus, "t10")
    said = explain(raised.value)
    assert isinstance(said, NoRoom) and "at most 10 looks" in said.message
    database.execute("UPDATE console_looks SET ends_at = now()")
    add(database, remus, "t11")
    assert database.execute("SELECT count(*) FROM console_looks") == [(1,)]


def test_none_lasts_longer_than_an_hour(database: Database, remus: int) -> None:
    add(database, remus, "a")
    with pytest.raises(psycopg2.Error) as raised:
        database.execute("UPDATE console_looks SET ends_at = now() + interval '2 hours'")
    assert isinstance(explain(raised.value), BadInput)
