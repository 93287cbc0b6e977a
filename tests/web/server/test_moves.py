"""What pages say of a machine that moves, and of hosts that are emptied or upgraded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from invirt_lab.browser import Browser
from tests.web.server.conftest import WebServer
from tests.web.server.test_progress import ENDED, followed, remus, told

__all__ = ["remus"]  # a fixture
BEGUN = """
WITH begun AS (
    INSERT INTO operations (kind, machine_id, machine_name, principal, token, lease_holder, lease_until,
        administrator)
    SELECT 'migrate', machine_id, name, 'carol@INVIRT.TEST', 1, 'this test', now() + interval '1 hour', true
    FROM machines WHERE name = 'remus' RETURNING operation_id)
INSERT INTO operation_steps (operation_id, position, name, state, detail)
    SELECT operation_id, n, name, 'doing', detail::jsonb FROM begun, (VALUES
        (1, 'make ready', '{"host": "host2"}'),
        (2, 'hand over', '{"host": "host1", "to": "host2", "progress": "43 %%"}')) steps (n, name, detail)
    RETURNING operation_id
"""
FURTHER = """
UPDATE operation_steps SET detail = detail || '{"progress": "44 %%"}', changed_at = now()
WHERE operation_id = %s AND position = 2
"""


@pytest.fixture
def move(web: WebServer, remus: int) -> Iterator[int]:
    """Of remus, to host2; nobody carries it out."""
    number = int(web.database.execute(BEGUN, ())[0][0])
    yield number
    web.database.execute(ENDED, (number,))


@pytest.fixture(scope="module")
def carol(web: WebServer) -> Browser:
    """An administrator of the site."""
    return web.browser("carol")


def test_a_machine_that_moves_says_where_to_and_how_far(web: WebServer, carol: Browser, move: int) -> None:
    """On its page, in both lists, live; then in its history."""
    alice = web.browser("alice")
    shown = f'data-operation="{move}">moving to host2, 43 %</span>'
    for browser, place in ((alice, "/"), (alice, "/machines/remus"), (carol, "/machines/remus")):
        page = browser.ask(place).text
        assert shown in page and "/static/progress.js" in page
    assert "moving to host2, 43 %" in carol.ask("/site/machines").text
    with followed(web, "alice", move) as stream:
        first = told(stream)
        assert first and first["moving"] == "moving to host2, 43 %"
        web.database.execute(FURTHER, (move,))
        second = told(stream)
        assert second and second["moving"] == "moving to host2, 44 %"
        web.database.execute(ENDED, (move,))
        last = told(stream)
        assert last and last["state"] == "done"
    page = alice.ask("/machines/remus").text
    assert "moving to" not in page and "migrate</a> from host1 to host2</th>" in page


def test_administrators_are_told_why_it_is_where_it_is(web: WebServer, carol: Browser, remus: int) -> None:
    page = carol.ask("/machines/remus").text
    assert "Why there, and what do the other hosts lack?" in page and "Move it to another host" in page
    page = carol.ask("/machines/remus?why=all").text
    hosts = [name for (name,) in web.database.execute("SELECT name::text FROM hosts")]
    assert hosts and all(f"<dt>{host}</dt><dd>" in page for host in hosts)
    owner = web.browser("alice").ask("/machines/remus?why=all").text
    assert "Why there" not in owner and "<dt>host" not in owner


def test_what_is_done_to_hosts_is_told(web: WebServer, carol: Browser) -> None:
    """Begun by a form, and not waited for; why it failed stands there, and what to do."""
    name = str(web.database.execute("SELECT min(name::text) FROM hosts")[0][0])
    for verb, more in (("drain", {"name": name}), ("update", {"names": name, "reboot": "always"})):
        answer = carol.send("/site/hosts", "/site/hosts", verb=f"admin host {verb}", **more)
        assert answer.to == "/site/hosts", answer.text
        page = carol.ask(answer.to)
        assert f"<strong>{name}</strong> {verb}: wait" in page.text and "/static/again.js" in page.text
        if verb == "drain":
            web.database.execute("DELETE FROM upkeep")
    assert web.database.execute("SELECT reboot FROM upkeep") == [("always",)]
    web.database.execute("UPDATE upkeep SET step = 'drain', told = 'm2: it has moved to host2'")
    assert (
        f"<strong>{name}</strong> update: drain, m2: it has moved to host2" in carol.ask("/site/hosts").text
    )
    web.database.execute("UPDATE upkeep SET failed = '1 of 2 machines <can''t>', todo = 'Make room.'")
    page = carol.ask("/site/hosts").text
    assert "1 of 2 machines &lt;can&#39;t&gt;" in page and "Make room." in page
    web.database.execute("UPDATE upkeep SET step = 'done', failed = NULL")
    page = carol.ask("/site/hosts").text
    assert f"<strong>{name}</strong> update: done" in page and "/static/again.js" not in page
    web.database.execute("DELETE FROM upkeep")
    assert web.browser("alice").ask("/site/hosts").status == 404
