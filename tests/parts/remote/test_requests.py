"""A larger quota is asked for, and granted or refused: it counts at the next create."""

from __future__ import annotations

from tests.parts.remote.conftest import RemoteServer

NOT_FOUND, REFUSED, BAD = 3, 4, 2


def say(remote: RemoteServer, user: str, *words: str, code: int = 0) -> str:
    answer = remote.call(user, *words)
    assert answer.status == code, answer
    return answer.stderr if code else answer.stdout


def test_what_is_granted_is_the_quota_and_what_is_refused_is_not(remote: RemoteServer) -> None:
    """Once each; the newest word counts; of others' owners nobody asks or learns."""
    database = remote.database
    database.execute("INSERT INTO administrators VALUES ('carol@INVIRT.TEST')")
    say(remote, "alice", "machine", "quota", "ask", "--memory", "16G", "--cpus", "3")
    say(remote, "alice", "machine", "quota", "ask", "--cpus", "9", "--why", "a course")
    say(remote, "alice", "machine", "quota", "ask", code=BAD)
    say(remote, "bob", "machine", "quota", "ask", "--cpus", "9", "--owner", "alice", code=REFUSED)
    assert say(remote, "bob", "machine", "quota", "asked") == "Nothing is asked for.\n"
    say(remote, "alice", "admin", "quota", "grant", "1", code=REFUSED)
    waiting = say(remote, "carol", "admin", "quota", "requests")
    assert "16384" in waiting and "a course" in waiting and len(waiting.splitlines()) == 3
    numbers = dict(database.execute("SELECT resource, request_id FROM quota_requests"))
    say(remote, "carol", "admin", "quota", "grant", str(numbers["cpus"]))
    say(remote, "carol", "admin", "quota", "refuse", str(numbers["memory"]), "--why", "no room")
    for verb in ("grant", "refuse"):
        say(remote, "carol", "admin", "quota", verb, str(numbers["cpus"]), code=NOT_FOUND)
    assert "refused: no room" in say(remote, "alice", "machine", "quota", "asked")
    assert say(remote, "carol", "admin", "quota", "requests") == "Nothing is asked for.\n"
    quotas = "SELECT resource, amount FROM quotas JOIN owners o USING (owner_id) WHERE o.name = 'alice'"
    assert ("cpus", 9) in database.execute(quotas) and ("memory", 16384) not in database.execute(quotas)
