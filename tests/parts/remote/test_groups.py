"""Groups of users' own, and owners whose members are told elsewhere: who is in is asked at each call."""

from __future__ import annotations

import pytest

from invirt import config
from tests.parts.owned import machine, owner
from tests.parts.postgres import Database
from tests.parts.remote.conftest import RemoteServer

ALICE, BOB = "alice@INVIRT.TEST", "bob@INVIRT.TEST"
DENIED = (255, "", "Access denied\n")
NOT_FOUND, REFUSED, FULL, BAD = 3, 4, 6, 2


@pytest.fixture(autouse=True)
def few(site: Database) -> None:
    """Two groups a user."""
    with site.config.open("a") as file:
        file.write("owners: {sources: [unix], groups: 2}\n")
    config.reload()


def group(remote: RemoteServer, user: str, line: str, code: int = 0) -> str:
    answer = remote.call(user, "machine", "group", *line.split())
    assert answer.status == code, answer
    return answer.stderr if code else answer.stdout


def test_a_group_s_members_use_its_machines_as_long_as_they_are_in_it(remote: RemoteServer) -> None:
    """From its making to its end, at the next call each."""
    group(remote, "alice", "create robotics")
    machine(remote.database, "remus", "group:robotics")
    assert remote.call("alice", "control", "remus", "status").stdout == "remus is off\n"
    before = remote.call("bob", "control", "remus", "status")
    group(remote, "alice", "add robotics bob")
    assert remote.call("bob", "control", "remus", "status").stdout == "remus is off\n"
    assert remote.call("bob", "machine", "show", "remus").status == 0
    assert "alice@INVIRT.TEST bob@INVIRT.TEST" in group(remote, "bob", "list")
    group(remote, "bob", "add robotics eve", REFUSED)
    group(remote, "bob", "remove robotics alice", REFUSED)
    group(remote, "bob", "delete robotics", REFUSED)
    assert "has machines" in group(remote, "alice", "delete robotics", BAD)
    group(remote, "alice", "remove robotics bob")
    after = remote.call("bob", "control", "remus", "status")
    assert {(one.status, one.stdout, one.stderr) for one in (before, after)} == {DENIED}
    assert remote.call("bob", "machine", "show", "remus").status == NOT_FOUND
    remote.database.execute("DELETE FROM machines")
    group(remote, "alice", "delete robotics")
    assert remote.database.execute("SELECT FROM owners WHERE name LIKE 'group:%'") == []


def test_a_group_has_a_keeper_to_its_end(remote: RemoteServer) -> None:
    """Whoever is in it may leave, but the last keeper; strangers learn nothing of it."""
    group(remote, "alice", "create robotics")
    assert "the last who keeps" in group(remote, "alice", "remove robotics alice", BAD)
    group(remote, "alice", "add robotics bob --keeper")
    group(remote, "bob", "remove robotics alice")
    assert remote.database.execute(
        "SELECT principal, keeper FROM members JOIN owners USING (owner_id) WHERE name = 'group:robotics'"
    ) == [(BOB, True)]
    said = {group(remote, "alice", f"add {name} eve", NOT_FOUND) for name in ("robotics", "ghostly")}
    assert len({text.replace("ghostly", "robotics") for text in said}) == 1


def test_a_user_makes_so_many_groups_and_no_more(remote: RemoteServer) -> None:
    """Also of those that others keep by now; names are not those of other owners."""
    for name in ("one", "two"):
        group(remote, "alice", f"create {name}")
        group(remote, "alice", f"add {name} bob --keeper")
        group(remote, "alice", f"remove {name} alice")
    assert "at most 2 groups" in group(remote, "alice", "create three", FULL)
    group(remote, "bob", "create three")
    group(remote, "bob", "create three", BAD)
    owner(remote.database, "unix")
    for wrong in ("unix:staff", "group:x", "Robotics", "a/b", "-x"):
        group(remote, "bob", f"create -- {wrong}", BAD)


def told(database: Database, *principals: str) -> None:
    """The source of unix:staff says who is in it, to the service that asks it."""
    database.execute(
        "SELECT source_answered(owner_id, 'unix:staff', %s, 60) FROM sources",
        (list(principals),),
        user="invirt_members",
    )


def test_who_left_where_members_are_told_is_refused_at_the_next_call(remote: RemoteServer) -> None:
    """By remctl's own check, by the program, by what the web server sees; and in at the next, who came."""
    database = remote.database
    database.execute("INSERT INTO owners (name, memory, disk, machines) VALUES ('unix:staff', 4096, 9, 9)")
    database.execute(
        "INSERT INTO sources (owner_id, kind, name)"
        " SELECT owner_id, 'unix', 'staff' FROM owners WHERE name = 'unix:staff'"
    )
    machine(database, "remus", "unix:staff")
    sees = "SELECT DISTINCT principal FROM access ORDER BY 1"
    told(database, ALICE)
    assert remote.call("alice", "control", "remus", "status").stdout == "remus is off\n"
    assert database.execute(sees, user="invirt_web") == [(ALICE,)]
    told(database, BOB)
    gone = remote.call("alice", "control", "remus", "status")
    assert (gone.status, gone.stdout, gone.stderr) == DENIED
    assert remote.call("alice", "machine", "show", "remus").status == NOT_FOUND
    assert remote.call("bob", "control", "remus", "status").stdout == "remus is off\n"
    assert database.execute(sees, user="invirt_web") == [(BOB,)]
    told(database)
    gone = remote.call("bob", "control", "remus", "status")
    assert (gone.status, gone.stdout, gone.stderr) == DENIED and database.execute(
        sees, user="invirt_web"
    ) == []
