"""How operations go, as it is pushed to pages."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any

import pytest

from invirt.web import session
from invirt.web.streams.visits import ALL, EACH, EVERY
from invirt_lab.browser import Browser
from tests.parts.owned import BOB, WAYS, let_in, let_out
from tests.web.server.conftest import WebServer

BEGUN = """
WITH begun AS (
    INSERT INTO operations (kind, machine_id, machine_name, principal, token, lease_holder, lease_until)
    SELECT 'boot', machine_id, name, 'alice@INVIRT.TEST', 1, 'this test', now() + interval '1 hour'
    FROM machines WHERE name = 'remus' RETURNING operation_id)
INSERT INTO operation_steps (operation_id, position, name, state)
    SELECT operation_id, n, 'step-' || n, 'pending' FROM begun, generate_series(1, 5) n
    RETURNING operation_id
"""
ENDED = "UPDATE operations SET state = 'done', finished_at = now() WHERE operation_id = %s"
STEP = "UPDATE operation_steps SET state = %s WHERE operation_id = %s AND position = %s"


@pytest.fixture(scope="module")
def remus(web: WebServer) -> int:
    """A machine of alice's, into which bob is let."""
    web.database.execute(
        "INSERT INTO machines (name, owner_id, type_id, memory)"
        " SELECT 'remus', owner_id, type_id, 128 FROM owners, types WHERE owners.name = 'alice'"
    )
    return int(web.database.execute("SELECT machine_id FROM machines WHERE name = 'remus'")[0][0])


@pytest.fixture
def begun(web: WebServer, remus: int) -> Iterator[int]:
    """An operation of alice's that nobody carries out."""
    number = int(web.database.execute(BEGUN)[0][0])
    yield number
    web.database.execute(ENDED, (number,))


@contextmanager
def followed(web: WebServer, user: str, number: int) -> Iterator[HTTPResponse]:
    answer = web.browser(user).open(f"/streams/operations/{number}")
    try:
        assert answer.status == 200, (answer.read(), web.log())
        yield answer
    finally:
        answer.close()


def told(stream: HTTPResponse) -> dict[str, Any] | None:
    """The next that is told; None: the end."""
    for line in iter(stream.readline, b""):
        if line.startswith(b"event: end"):
            return None
        if line.startswith(b"data: "):
            found: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
            return found
    raise AssertionError("it was cut off")


def step(web: WebServer, number: int, position: int, state: str) -> None:
    web.database.execute(STEP, (state, number, position))


def test_steps_come_as_they_happen(web: WebServer, begun: int) -> None:
    """Each by a word of the database, not at the next look; the end is told."""
    with followed(web, "alice", begun) as stream:
        assert told(stream) == {"state": "running", "error": None, "steps": []}
        began = time.monotonic()
        for position in range(1, 6):
            step(web, begun, position, "done")
            now = told(stream)
            assert now and [one["name"] for one in now["steps"]] == [
                f"step-{n}" for n in range(1, position + 1)
            ]
        assert time.monotonic() - began < EVERY
        web.database.execute(ENDED, (begun,))
        now = told(stream)
        assert now and now["state"] == "done" and told(stream) is None and stream.read() == b"data:\n\n"


def test_a_lost_connection_to_the_database_ends_nothing(web: WebServer, begun: int) -> None:
    """What happened meanwhile is told once it is back."""
    with followed(web, "alice", begun) as stream:
        told(stream)
        web.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'invirt-web'",
            user="postgres",
        )
        step(web, begun, 1, "doing")
        now = told(stream)
        assert now and now["steps"] == [{"name": "step-1", "state": "doing"}]


@WAYS
def test_who_may_see_it(way: str, web: WebServer, begun: int) -> None:
    """Who begun it, whom the machine lets in; nobody else, not from another site, and no longer than that."""
    path = f"/streams/operations/{begun}"
    assert web.browser().ask(path).status == 401
    forged = web.browser()
    forged.cookies["__Host-invirt"] = "x" + web.browser("alice").cookies["__Host-invirt"]
    assert forged.ask(path).status == 401
    assert web.browser("alice").ask(path, headers={"Origin": "https://elsewhere.test"}).status == 403
    assert web.browser("carol").ask("/streams/operations/123456789").status == 404
    assert web.browser("alice").ask("/streams/nothing").status == 404
    let_in(web.database, "remus", BOB, way)
    with followed(web, "bob", begun) as stream:
        assert told(stream)
        let_out(web.database, "remus", way)
        step(web, begun, 1, "doing")
        assert told(stream) is None
    assert web.browser("bob").ask(path).status == 404


def test_streams_of_one_user_are_so_many(web: WebServer, begun: int) -> None:
    """Another user has their own; what was closed counts no more."""
    alice = web.browser("alice")
    opened = [alice.open(f"/streams/operations/{begun}") for _ in range(EACH)]
    assert {one.status for one in opened} == {200}
    assert alice.ask(f"/streams/operations/{begun}").status == 429
    with followed(web, "carol", begun):
        pass
    for one in opened:
        one.close()


def signed_on(web: WebServer, user: str) -> Browser:
    """A browser with a session of the pages, as the password's door would have given it."""
    kept: dict[str, Any] = {}
    session.begin(kept, f"{user}@INVIRT.TEST", "password")
    made = web.browser()
    made.cookies[session.COOKIE] = session.signed(session.key(web.folder)).dumps(kept)
    return made


def quickest(browser: Browser, times: int = 20) -> float:
    """Seconds that a page takes, at best."""
    took = []
    for _ in range(times):
        began = time.monotonic()
        assert browser.ask("/help").status == 200
        took.append(time.monotonic() - began)
    return min(took)


@pytest.mark.nightly
def test_a_thousand_streams_leave_pages_quick(web: WebServer, begun: int) -> None:
    """Apache has threads for all of them and for pages; the next stream is refused, and none is cut."""
    users = [f"user{number}" for number in range(ALL // EACH)]
    for user in users:
        web.database.execute(
            "INSERT INTO machine_access (machine_id, principal)"
            " SELECT machine_id, %s FROM machines WHERE name = 'remus'",
            (f"{user}@INVIRT.TEST",),
        )
    alice = signed_on(web, "alice")
    before = quickest(alice)
    path = f"/streams/operations/{begun}"
    opened = [signed_on(web, user).open(path) for user in users for _ in range(EACH)]
    assert [one.status for one in opened] == [200] * ALL
    assert quickest(alice) < 5 * before
    assert alice.ask(path).status == 429
    step(web, begun, 1, "done")
    for one in opened:
        while (now := told(one)) and not now["steps"]:
            pass
        assert now
        one.close()
