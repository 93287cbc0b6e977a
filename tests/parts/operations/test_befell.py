"""The owner of a machine whose host was lost reads what became of it, until it is switched off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from invirt.remote import control, listing, session
from invirt.remote.actor import Actor
from tests.parts.operations.conftest import ALICE, Site
from tests.parts.operations.losing import die, lose, up

__all__ = ["up"]  # a fixture
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d"
LOST = f"host1 was lost at {TIME}, and the machine "
AGAIN = f"was started again on host2 at {TIME}"


@pytest.fixture
def gone(up: Site) -> Iterator[Site]:
    """host1 was lost; nothing of it has been booted yet."""
    die(up)
    lose(up)
    up.rows("INSERT INTO host_signs (host_id) SELECT host_id FROM hosts")
    with closing(session.connected()):
        yield up


def status(name: str) -> str:
    """As people read it."""
    found = control.status(Actor(ALICE), name)  # type: ignore[arg-type]
    return control._in_words(found.data)


def test_it_is_told(gone: Site) -> None:
    assert re.fullmatch(f"m1 is off.*: {LOST}waits to be started elsewhere\n", status("m1"))
    gone.recover()
    assert re.fullmatch(f"m1 is running on host2: {LOST}{AGAIN}\n", status("m1"))
    assert re.search(f"what befell it: +{LOST}{AGAIN}", listing.FACTS(listing.show(Actor(ALICE), "m1").data))
    listed = listing.list_machines(Actor(ALICE))
    assert [note.partition(":")[0] for note in listed.notes] == ["m1", "m2", "m3"]
    assert re.fullmatch(f"m1: {LOST}{AGAIN}", listed.notes[0])


def test_it_ends_when_she_switches_it_off(gone: Site) -> None:
    gone.recover()
    gone.submit("destroy", "m1")
    assert status("m1") == "m1 is off\n"
    gone.submit("boot", "m1")
    assert "lost" not in status("m1")
    gone.submit("reboot", "m2")
    assert "was lost" in status("m2")
    gone.rows("UPDATE machines SET lost_at = lost_at - interval '8 days'")
    assert "lost" not in status("m2"), "or after a week"


def test_one_that_stays_off(gone: Site) -> None:
    gone.rows("UPDATE machines SET wanted_on = false WHERE name = 'm1'")
    gone.rows("UPDATE operations SET state = 'undone', finished_at = now(), lease_until = NULL,"
              " lease_holder = NULL WHERE finished_at IS NULL")  # fmt: skip
    assert re.search(f"{LOST}is off", status("m1"))
