"""What pages read: by queries that a connection keeps planned, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from invirt.web import reading
from tests.parts.postgres import Database

ADD = "INSERT INTO public_keys (principal, key) VALUES ('alice@INVIRT.TEST', %s)"
KEYS = "SELECT * FROM web.keys WHERE principal = %(who)s"
WHO = {"who": "alice@INVIRT.TEST"}
WIDER = """
CREATE OR REPLACE VIEW web.keys AS SELECT principal::text AS principal, key, 1 AS more FROM public_keys
"""


@pytest.fixture
def filled(database: Database) -> Iterator[Database]:
    database.execute(ADD, ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1",))
    yield database
    reading.done()
    reading._kept.connection.close()


def test_all_of_a_page_is_of_one_moment(filled: Database) -> None:
    assert len(reading.rows(KEYS, WHO)) == 1
    filled.execute(ADD, ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2",))
    assert len(reading.rows(KEYS, WHO)) == len(reading.rows(f"{KEYS} ORDER BY key", WHO)) == 1
    reading.done()
    assert len(reading.rows(KEYS, WHO)) == 2


def test_a_view_that_gets_other_columns(filled: Database) -> None:
    assert not hasattr(reading.one(KEYS, WHO), "more")
    reading.done()
    filled.execute(WIDER)
    assert reading.one(KEYS, WHO).more == 1


def test_few_queries_stay_planned(filled: Database) -> None:
    numbers = range(2 * reading.MOST + 3)
    assert [reading.one(f"SELECT %(one)s::int + {number} AS it", {"one": 1}).it for number in numbers] == [
        number + 1 for number in numbers
    ]
    (planned,) = reading.rows("SELECT count(*) AS planned FROM pg_prepared_statements WHERE name LIKE 'q%'")
    assert planned.planned == 4
