"""Tokens: by functions alone, which write it down; nobody is told a hash, nor whose it is without one."""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg2
import psycopg2.errors
import pytest

from invirt.base import cli
from invirt.base.errors import BadInput, NoRoom, NotFound
from invirt.database.commands.admin import COMMAND
from invirt.database.refusals import explain
from tests.parts.database.rows import machine, site
from tests.parts.postgres import Database

ADD = "SELECT add_token(%s, %s, %s, true, %s, %s)"


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def add(
    database: Database, name: str, who: str = "alice@X", machines: list[int] | None = None, days: int = 30
) -> None:
    database.execute(ADD, (who, name, digest(name), machines, days), "invirt_remote")


def whose(database: Database, name: str) -> list[Any]:
    return database.execute("SELECT * FROM web.token(%s)", (digest(name),), "invirt_web")


@pytest.fixture
def remus(database: Database) -> int:
    """The number of a machine."""
    site(database)
    machine(database, "remus")
    ((number,),) = database.execute("SELECT machine_id FROM machines")
    assert isinstance(number, int)
    return number


def test_who_has_one_is_told_whose_it_is(database: Database, remus: int) -> None:
    add(database, "all")
    add(database, "one", machines=[remus, remus])
    assert whose(database, "all") == [("alice@X", "all", True, None)]
    assert whose(database, "one") == [("alice@X", "one", True, [remus])]
    assert whose(database, "none") == []
    shown = database.execute("SELECT name, scoped, machines FROM tokens ORDER BY name", user="invirt_web")
    assert shown == [("all", False, []), ("one", True, ["remus"])]
    database.execute("DELETE FROM machines", user="invirt_remote")
    assert whose(database, "one") == [("alice@X", "one", True, [])], "for no machine, not for all"


@pytest.mark.parametrize(
    "user", ["invirt_remote", "invirt_web", "invirt_host", "invirt_console", "invirt_dns"]
)
def test_nobody_reads_hashes_or_writes_otherwise(database: Database, remus: int, user: str) -> None:
    add(database, "all")
    queries = [
        "SELECT hash FROM public.api_tokens",
        "INSERT INTO public.api_tokens (principal, name, hash, writes, scoped, ends_at)"
        " VALUES ('bob@X', 'x', sha256('x'), true, false, now() + interval '1 day')",
        "UPDATE public.api_tokens SET ends_at = now()",
        "DELETE FROM public.api_tokens",
        f"INSERT INTO public.api_token_machines SELECT 1, {remus}",
    ]
    if user != "invirt_remote":
        queries += ["SELECT public.add_token('bob@X', 'x', sha256('x'), true, NULL, 1)",
                    "SELECT public.remove_token('alice@X', 'all')"]  # fmt: skip
    if user != "invirt_web":
        queries.append("SELECT * FROM web.token(sha256('all'))")
    for query in queries:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            database.execute(query, user=user)


def test_it_ends_for_who_acts_alone_and_is_written_down(database: Database) -> None:
    add(database, "all")
    add(database, "bobs", "bob@X")
    remove = "SELECT remove_token(%s, 'all')"
    asked = [database.execute(remove, (who,), "invirt_remote") for who in ("bob@X", "alice@X", "alice@X")]
    assert asked == [[(None,)], [(True,)], [(None,)]]
    assert whose(database, "all") == [] and whose(database, "bobs")
    assert database.execute("SELECT principal, command, arguments FROM audit ORDER BY audit_id") == [
        ("alice@X", "add_token", "all"), ("bob@X", "add_token", "bobs"), ("alice@X", "remove_token", "all"),
    ]  # fmt: skip


def test_one_that_has_ended_is_none(database: Database) -> None:
    """It isn't shown, and its name and place are free at the next."""
    add(database, "all", days=1)
    database.execute("UPDATE api_tokens SET created_at = now() - interval '1 day', ends_at = now()")
    assert whose(database, "all") == [] and database.execute("SELECT * FROM tokens") == []
    add(database, "all")
    assert database.execute("SELECT count(*) FROM public.api_tokens") == [(1,)]


@pytest.mark.parametrize(
    ("who", "name", "days"),
    [("alice@X", "x", 0), ("alice@X", "x", -1), ("alice@X", "x", 367), ("alice@X", "X y", 1),
     ("host/web.x.test@X", "x", 1), ("alice", "x", 1)],
)  # fmt: skip
def test_what_is_none(database: Database, who: str, name: str, days: int) -> None:
    with pytest.raises(psycopg2.Error) as raised:
        add(database, name, who, days=days)
    assert isinstance(explain(raised.value), BadInput)


def test_there_are_so_many_each_of_its_own_name(database: Database) -> None:
    add(database, "t0")
    with pytest.raises(psycopg2.Error) as twice:
        database.execute(ADD, ("alice@X", "t0", digest("other"), None, 1), "invirt_remote")
    assert "of this name already" in str(explain(twice.value))
    for number in range(1, 20):
        add(database, f"t{number}")
    add(database, "t20", "bob@X")
    with pytest.raises(psycopg2.Error) as raised:
        add(database, "t21")
    said = explain(raised.value)
    assert isinstance(said, NoRoom) and "at most 20 tokens" in said.message


def test_administrators_see_and_end_them(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """What they end is written down, as all that they change."""
    add(database, "all")
    assert cli.main(COMMAND, ["token", "list"]) == 0
    assert "alice@X    all   write  all" in capsys.readouterr().out
    assert cli.main(COMMAND, ["token", "remove", "bob@X", "all"]) == NotFound.exit_code
    assert whose(database, "all")
    assert cli.main(COMMAND, ["token", "remove", "alice@X", "all"]) == 0
    assert whose(database, "all") == []
    ((said,),) = database.execute("SELECT arguments FROM audit WHERE command = 'invirt-admin'")
    assert "name=all" in str(said)
