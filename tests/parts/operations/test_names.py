"""A name's next owner sees nothing of the machine that had it before, nor does the former one of the next."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing

import pytest

from invirt.base.errors import NotFound
from invirt.remote import listing, machines, session
from invirt.remote.actor import Actor
from tests.parts.operations.conftest import ALICE, BOB, Site

WANTS = {"memory": 128, "disk": 1}


@pytest.fixture
def own(site: Site) -> Iterator[Site]:
    """With a connection for commands, which they keep."""
    with closing(session.connected()):
        yield site


def create(who: str, key: str) -> None:
    """`machine create remus … --key KEY`, which was asked for before."""
    names = ("cpus", "type", "owner", "description")
    machines.create(Actor(who), argparse.Namespace(name="remus", key=key, **WANTS, **dict.fromkeys(names)))


def operations(capsys: pytest.CaptureFixture[str], who: str, name: str) -> str:
    """`machine operations NAME`."""
    listing.operations(Actor(who), argparse.Namespace(name=name, json=False))
    return capsys.readouterr().out


def test_a_repeated_key_shows_what_was_made_for_her(own: Site, capsys: pytest.CaptureFixture[str]) -> None:
    own.submit("create", "remus", key="once", **WANTS)
    create(ALICE, "once")
    assert "owner:       alice\n" in capsys.readouterr().out
    own.submit("rename", "remus", name="romulus")
    own.submit("create", "remus", BOB, **WANTS)
    create(ALICE, "once")
    shown = capsys.readouterr().out
    assert "romulus" in shown and "bob" not in shown


def test_a_repeated_key_never_shows_another_s_machine(own: Site, capsys: pytest.CaptureFixture[str]) -> None:
    own.submit("create", "remus", key="once", **WANTS)
    own.submit("delete", "remus")
    own.submit("create", "remus", BOB, **WANTS)
    with pytest.raises(NotFound, match="remus was made by operation 1, but it is gone"):
        create(ALICE, "once")
    assert capsys.readouterr().out == ""


def test_who_lost_access_sees_nothing_by_a_key(own: Site, capsys: pytest.CaptureFixture[str]) -> None:
    own.submit("create", "remus", key="once", **WANTS)
    own.rows("UPDATE members SET principal = %s", BOB)
    with pytest.raises(NotFound, match="not yours any more"):
        create(ALICE, "once")
    assert capsys.readouterr().out == ""


def test_operations_are_those_of_machines_not_of_names(own: Site, capsys: pytest.CaptureFixture[str]) -> None:
    own.submit("create", "remus", **WANTS)
    own.submit("delete", "remus")
    own.submit("create", "remus", BOB, **WANTS)
    assert ALICE not in operations(capsys, BOB, "remus")
    assert BOB not in operations(capsys, ALICE, "remus")


def test_a_new_name_is_not_told_to_who_may_not_see_it(own: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """She once booted it, which stays to be seen; not that it is called otherwise now."""
    own.submit("create", "remus", BOB, **WANTS)
    own.rows("INSERT INTO machine_access SELECT machine_id, %s FROM machines", ALICE)
    own.submit("boot", "remus")
    own.submit("destroy", "remus")
    own.rows("DELETE FROM machine_access")
    own.submit("rename", "remus", BOB, name="romulus")
    assert "boot" in operations(capsys, ALICE, "remus")
    assert "boot" not in operations(capsys, ALICE, "romulus")
