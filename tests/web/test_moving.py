"""A machine that moves, and hosts that are upgraded, in a real browser: told as it happens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.parts.remote.conftest import WEB
from tests.web.conftest import Chromium, barriers, picture
from tests.web.server.test_moves import BEGUN, ENDED, FURTHER
from tests.web.test_story import SIZES, fits, make

SIGNS = """
INSERT INTO host_signs (host_id) SELECT host_id FROM hosts ON CONFLICT (host_id) DO UPDATE SET strangers = 0
"""
UPKEEP = """
INSERT INTO upkeep (host_id, kind, step, told, principal) SELECT host_id, 'update', 'drain',
    'remus: it has moved to host2', 'carol@INVIRT.TEST' FROM hosts ORDER BY name LIMIT 1
"""
STOPPED = """
UPDATE upkeep SET failed = '1 of 2 machines can''t move away (remus: no host has room for it)',
    todo = 'They go on there. Make room for them, or have their owners shut them down.'
"""


@pytest.fixture
def move(chromium: Chromium) -> Iterator[int]:
    """Of remus, to host2; nobody carries it out, nor what is done to a host."""
    database = chromium.server.database
    if not database.execute("SELECT 1 FROM machines WHERE name = 'remus'"):
        page = chromium.page("alice")
        make(page, "remus")
        page.context.close()
    database.execute(SIGNS)
    number = int(database.execute(BEGUN, ())[0][0])
    database.execute(UPKEEP)
    yield number
    database.execute(ENDED, (number,))
    database.execute("DELETE FROM upkeep")


@pytest.mark.parametrize("size", ["desk", pytest.param("phone", marks=pytest.mark.nightly)])
def test_a_move_is_told_as_it_happens(chromium: Chromium, move: int, size: str) -> None:
    """On the machine's page and in the list without a reload; axe-core finds nothing there."""
    for name, path in (("mine", "/"), ("machine", "/machines/remus"), ("operation", f"/operations/{move}")):
        page = chromium.page("alice", SIZES[size])
        page.goto(f"https://{WEB}{path}")
        page.get_by_text("moving to host2, 4").first.wait_for()
        chromium.server.database.execute(FURTHER, (move,))
        page.get_by_text("moving to host2, 44 %").first.wait_for()
        picture(page, f"moving-{name}-{size}")
        assert barriers(page) == []
        fits(page)
        page.context.close()


@pytest.mark.parametrize("size", ["desk", pytest.param("phone", marks=pytest.mark.nightly)])
def test_hosts_that_are_upgraded_are_told_of(chromium: Chromium, move: int, size: str) -> None:
    page = chromium.page("carol", SIZES[size])
    page.goto(f"https://{WEB}/site/hosts")
    page.get_by_text("remus: it has moved to host2").wait_for()
    chromium.server.database.execute(STOPPED)
    page.get_by_text("1 of 2 machines can't move away").wait_for()
    picture(page, f"upkeep-{size}")
    assert barriers(page) == []
    fits(page)
    page.goto(f"https://{WEB}/machines/remus?why=all#where")
    page.get_by_role("heading", name="Where it runs").wait_for()
    picture(page, f"where-{size}")
    assert barriers(page) == []
    fits(page)
    page.context.close()
