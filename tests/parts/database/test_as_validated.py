"""The database takes what the whitelists of invirt.base.validate let through, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from invirt.base import validate
from invirt.base.errors import BadInput
from invirt.database.connection import Connection, connect, transaction
from invirt.database.refusals import SENTENCES
from tests.parts.postgres import Database

MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
OWNER = "INSERT INTO owners (name, memory, disk, machines) VALUES (%s, 1, 1, 1)"
SYSTEM = """
INSERT INTO autoinstalls (name, url, keyring, {}) VALUES ('own', 'http://install.example.org/own', 'key', %s)
"""
PLACES = (
    *("http://mirror.example.org/debian", "https://[::1]/", "HTTP://a/", "http://a/b'; DROP", "file:/etc"),
    *("http://a/$(id)", "http://a b", "http://a/\\n", "http://a\n", "http://a:1/~b/", "http://a//b", ""),
    *(f"http://{'a' * length}" for length in (248, 249)),
)


@pytest.fixture
def opened(database: Database) -> Connection:
    """One connection for many questions."""
    return connect()


def taken(opened: Connection, rule: str, text: str, query: str, *undo: str) -> bool:
    """Whether the database takes text in query, or names the rule that it breaks; nothing is left of it."""
    try:
        with transaction(opened) as cursor:
            cursor.execute(query, (text,))
            for words in undo:
                cursor.execute(words)
        return True
    except BadInput as error:
        assert error.message == SENTENCES[rule]
        return False


@MANY
@given(text=st.text(max_size=70) | st.from_regex(r"\A[a-z0-9-]{1,64}\n?\Z"))
def test_names_of_machines(opened: Connection, text: str) -> None:
    text = text.replace("\0", "\n")
    found = taken(opened, "short_name", text, "SELECT %s::short_name")
    assert found == validate.passes(text, validate.machine_name)


@MANY
@given(text=st.text(max_size=70) | st.from_regex(r"\A[A-Za-z./_@ #:\n-]{1,30}@[A-Z.]{1,9}\n?\Z"))
def test_principals(opened: Connection, text: str) -> None:
    text = text.replace("\0", "\n")
    found = taken(opened, "principal", text, "SELECT %s::principal")
    assert found == validate.passes(text, validate.principal)


@MANY
@given(
    text=st.text(max_size=70)
    | st.from_regex(r"\A[A-Za-z0-9._/@+#: \n-]{0,30}\n?\Z")
    | st.from_regex(r"\A(group|unix|Ldap|a-1)?:[A-Za-z0-9._/@+=,:#-]{0,201}\n?\Z")
)
def test_owners(opened: Connection, text: str) -> None:
    """Lockers and people, groups of users' own, and sources of members."""
    text = text.replace("\0", "\n")
    found = taken(opened, "owner_name", text, OWNER, "DELETE FROM owners")
    assert found == validate.passes(text, validate.owner_name)


@pytest.mark.parametrize("column", ["suite", "mirror"])
@MANY
@given(
    text=st.text(max_size=70)
    | st.sampled_from(PLACES)
    | st.from_regex(r"\A[a-z0-9.+-]{0,64}\n?\Z")
    | st.from_regex(r"\Ahttps?://[a-z0-9.:-]{0,9}[A-Za-z0-9/._~$-]{0,9}\n?\Z")
)
def test_suites_and_mirrors(opened: Connection, column: str, text: str) -> None:
    """But for an empty text: the base's own."""
    text = text.replace("\0", "\n")
    query, rule = SYSTEM.format(column), f"autoinstall_{column}"
    found = taken(opened, rule, text, query, "DELETE FROM autoinstalls")
    assert found == (not text or validate.passes(text, getattr(validate, column)))
