"""A name's next owner sees nothing of the machine that had it before, nor does the former one of the next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from invirt.base.errors import NotFound
from invirt.remote import listing, machines, session, submission
from invirt.remote.actor import Actor
from tests.parts.operations.conftest import ALICE, BOB, Site

WANTS = {"memory": 128, "disk": 1}


@pytest.fixture
def own(site: Site) -> Iterator[Site]:
    """With a connection for commands, which they keep."""
    with closing(session.connected()):
        yield site


def create(who: str, key: str) -> dict[str, Any]:
    """`machine create remus … --key KEY`, which was asked for before."""
    submission.asked(True, key)
    try:
        made: dict[str, Any] = machines.create(Actor(who), "remus", **WANTS)
    finally:
        submission.asked(True, None)
    return made


def operations(who: str, name: str) -> str:
    """`machine operations NAME`."""
    return json.dumps(listing.operations(Actor(who), name, follow=None))


def test_a_repeated_key_shows_what_was_made_for_her(own: Site) -> None:
    own.submit("create", "remus", key="once", **WANTS)
    assert create(ALICE, "once")["owner"] == "alice"
    own.submit("rename", "remus", name="romulus")
    own.submit("create", "remus", BOB, **WANTS)
    made = create(ALICE, "once")
    assert (made["name"], made["owner"]) == ("romulus", "alice")


def test_a_repeated_key_never_shows_another_s_machine(own: Site) -> None:
    own.submit("create", "remus", key="once", **WANTS)
    own.submit("delete", "remus")
    own.submit("create", "remus", BOB, **WANTS)
    with pytest.raises(NotFound, match="remus was made by operation 1, but it is gone"):
        create(ALICE, "once")


def test_who_lost_access_sees_nothing_by_a_key(own: Site) -> None:
    own.submit("create", "remus", key="once", **WANTS)
    own.rows("UPDATE members SET principal = %s", BOB)
    with pytest.raises(NotFound, match="not yours any more"):
        create(ALICE, "once")


def test_operations_are_those_of_machines_not_of_names(own: Site) -> None:
    own.submit("create", "remus", **WANTS)
    own.submit("delete", "remus")
    own.submit("create", "remus", BOB, **WANTS)
    assert ALICE not in operations(BOB, "remus")
    assert BOB not in operations(ALICE, "remus")


def test_a_new_name_is_not_told_to_who_may_not_see_it(own: Site) -> None:
    """She once booted it, which stays to be seen; not that it is called otherwise now."""
    own.submit("create", "remus", BOB, **WANTS)
    own.rows("INSERT INTO machine_access SELECT machine_id, %s FROM machines", ALICE)
    own.submit("boot", "remus")
    own.submit("destroy", "remus")
    own.rows("DELETE FROM machine_access")
    own.submit("rename", "remus", BOB, name="romulus")
    assert "boot" in operations(ALICE, "remus")
    assert "boot" not in operations(ALICE, "romulus")


def test_an_administrator_sees_those_of_her_own(own: Site) -> None:
    """Who may see a machine in two ways, as one who owns it and looks after all, sees it once."""
    own.submit("create", "remus", **WANTS)
    own.rows("INSERT INTO administrators VALUES (%s)", ALICE)
    assert len(json.loads(operations(ALICE, "remus"))) == 1
