"""A machine goes to another owner, who accepts it: whose it is, who may, and whose quota, at that moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.parts.owned import machine, owner
from tests.parts.remote.conftest import RemoteServer

DENIED = (255, "", "Access denied\n")
NOT_FOUND, REFUSED, BUSY, FULL, BAD = 3, 4, 5, 6, 2


@pytest.fixture(autouse=True)
def remus(remote: RemoteServer) -> None:
    machine(remote.database, "remus")


def say(remote: RemoteServer, user: str, line: str, code: int = 0) -> str:
    """What `machine` says."""
    answer = remote.call(user, "machine", *line.split())
    assert answer.status == code, answer
    return answer.stderr if code else answer.stdout


def may(remote: RemoteServer, user: str) -> bool:
    """Whether user gets past remctl's own check to the machine."""
    answer = remote.call(user, "control", "remus", "status")
    told = (answer.status, answer.stdout, answer.stderr)
    assert told in (DENIED, (0, "remus is off\n", ""))
    return answer.status == 0


def test_it_is_the_new_owner_s_by_accepting_and_the_old_one_s_until_then(remote: RemoteServer) -> None:
    """Whom the old owner let in goes with the old owner; the old one's link and offer, too."""
    say(remote, "alice", "allow remus eve")
    remote.database.execute(
        "INSERT INTO console_looks (machine_id, principal, hash)"
        " SELECT machine_id, 'alice@INVIRT.TEST', sha256('x') FROM machines"
    )
    assert "offered to bob" in say(remote, "alice", "set remus --owner bob")
    assert "bob" in say(remote, "alice", "show remus") and not may(remote, "bob") and may(remote, "eve")
    assert "remus" in say(remote, "bob", "offers") and "remus" not in say(remote, "eve", "offers")
    say(remote, "eve", "accept remus", NOT_FOUND)
    say(remote, "bob", "accept remus")
    assert may(remote, "bob") and not may(remote, "alice") and not may(remote, "eve")
    say(remote, "alice", "show remus", NOT_FOUND)
    say(remote, "alice", "set remus --owner alice", NOT_FOUND)
    say(remote, "bob", "accept remus", NOT_FOUND)
    assert remote.database.execute("SELECT FROM console_looks") == []
    assert "bob    1 of" in say(remote, "bob", "quota") and "alice  0 of" in say(remote, "alice", "quota")


def test_what_is_declined_withdrawn_or_made_by_who_left_is_no_offer(remote: RemoteServer) -> None:
    """An owner who comes again under the same name gets nothing either."""
    database = remote.database
    say(remote, "alice", "set remus --owner bob")
    say(remote, "bob", "decline remus")
    say(remote, "bob", "accept remus", NOT_FOUND)
    say(remote, "alice", "set remus --owner bob")
    say(remote, "alice", "set remus --owner alice")
    say(remote, "bob", "accept remus", NOT_FOUND)
    owner(database, "cs101")
    database.execute("UPDATE members SET principal = 'bob@INVIRT.TEST' WHERE principal LIKE 'cs101@%'")
    say(remote, "alice", "set remus --owner cs101")
    database.execute("DELETE FROM owners WHERE name = 'cs101'")
    owner(database, "cs101")
    database.execute("UPDATE members SET principal = 'bob@INVIRT.TEST' WHERE principal LIKE 'cs101@%'")
    say(remote, "bob", "accept remus", NOT_FOUND)
    say(remote, "alice", "set remus --owner bob")
    database.execute("DELETE FROM members WHERE principal = 'alice@INVIRT.TEST'")
    say(remote, "bob", "accept remus", NOT_FOUND)
    assert say(remote, "bob", "offers") == "Nothing is offered to you.\n"


def test_who_is_of_both_need_not_ask(remote: RemoteServer) -> None:
    """To a group that one is in; from the user whom it is shared with, nobody takes it."""
    say(remote, "alice", "group create robotics")
    assert "group:robotics's now" in say(remote, "alice", "set remus --owner group:robotics")
    say(remote, "alice", "allow remus bob")
    say(remote, "bob", "set remus --owner bob", REFUSED)
    say(remote, "alice", "set remus --owner nobody-yet")
    assert "nobody-yet" in say(remote, "alice", "show remus")


def test_the_new_owner_s_quota_holds(remote: RemoteServer) -> None:
    """Of many that are accepted at once, as many are as fit; a machine that is worked on waits."""
    database = remote.database
    database.execute("UPDATE owners SET machines = 3 WHERE name = 'bob'")
    names = ["remus", *(f"m{number}" for number in range(7))]
    for name in names[1:]:
        machine(database, name)
    for name in names:
        say(remote, "alice", f"set {name} --owner bob")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda name: remote.call("bob", "machine", "accept", name), names))
    assert sorted(answer.status for answer in answers) == [0] * 3 + [FULL] * 5, answers
    assert "the quota of bob is 3 machines" in next(one.stderr for one in answers if one.status)
    counted = "SELECT count(*) FROM machines JOIN owners o USING (owner_id) WHERE o.name = 'bob'"
    assert database.execute(counted) == [(3,)]
    database.execute("UPDATE owners SET machines = 9")
    (waiting,) = database.execute(
        "INSERT INTO operations (kind, machine_id, machine_name, principal, token, lease_holder, lease_until)"
        " SELECT 'boot', machine_id, m.name, 'alice@INVIRT.TEST', 1, 'test', now() + interval '1 hour'"
        " FROM machines m JOIN machine_offers USING (machine_id) LIMIT 1 RETURNING machine_name"
    )
    say(remote, "bob", f"accept {waiting[0]}", BUSY)
