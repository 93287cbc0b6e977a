"""A locker of AFS owns a machine: who is in its list may all; and what a silent cell does."""

from __future__ import annotations

import time

import pytest

from invirt_lab import cell, cluster, demo, locker
from tests.lab.users import Lab, eventually

pytestmark = pytest.mark.nightly
NAME = "rover"


@pytest.fixture(scope="module")
def robotics(lab: Lab) -> str:
    """The locker's machine, which is alice's to use, after the demo has shown it."""
    demo.run(lockers=True)
    lab.remctl("alice", "machine", "create", NAME, "--owner", cell.OWNER, "--memory", "128M", "--disk", "1G")
    return NAME


def may(lab: Lab, user: str) -> bool:
    done = lab.try_remctl(user, "control", NAME, "status")
    return done.returncode == 0


def test_groups_count_and_what_is_taken(lab: Lab, robotics: str) -> None:
    """bob comes in by a group, and is kept out by a negative right."""
    assert may(lab, "alice") and not may(lab, "bob")
    cell.say("pts", "creategroup", "alice:crew", "-owner", "alice")
    cell.say("pts", "adduser", "bob", "alice:crew")
    cell.allow(locker.NAME, "alice:crew")
    locker.wait_member("bob", True)
    assert may(lab, "bob")
    cell.say("fs", "setacl", f"{cell.FOLDER}/{locker.NAME}", "bob", "a", "-negative")
    locker.wait_member("bob", False)
    assert not may(lab, "bob")


def test_a_cell_that_is_down_changes_nothing_and_then_closes(lab: Lab, robotics: str) -> None:
    """It closes in the database, once its last answer is as old as invirt.yaml says; and opens again."""
    age = "SELECT extract(epoch FROM now() - answered_at)::integer FROM sources WHERE kind = 'afs'"
    cluster.kill(cell.SERVER)
    try:
        assert may(lab, "alice")
        lasted = 0
        while may(lab, "alice"):
            lasted = int(lab.sql(age))
            time.sleep(0.5)
            assert lasted < 4 * cell.PATIENCE
        assert lasted > cell.PATIENCE / 2 and int(lab.sql(age)) >= cell.PATIENCE
        assert locker.members() == []
    finally:
        cluster.boot(cell.SERVER)
        cluster.wait_booted(cell.SERVER)
    eventually(lambda: may(lab, "alice"), "the cell to tell again", 120)


def test_it_ends(lab: Lab, robotics: str) -> None:
    lab.remove(NAME, "alice")
    lab.admin("owner", "remove", cell.OWNER)
    cell.say("pts", "delete", "alice:crew")
    cell.say("vos", "remove", cell.SERVER, "a", locker.NAME, "-localauth")
