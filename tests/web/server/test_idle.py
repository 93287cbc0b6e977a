"""A thousand browsers that sit on consoles and say nothing: pages are as quick as without them."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import AsyncExitStack

import pytest

from invirt.web import session
from invirt_lab.browser import Browser
from tests.parts.owned import machine, owner
from tests.web.server.conftest import WebServer
from tests.web.server.consoles import Viewer, watching

OWNERS, MACHINES, EACH = 25, 10, 4  # as many as a machine's, and a user's, may be
PAGES = 20
SLOWER = 3.0  # times


def signed_on(web: WebServer, user: str) -> Browser:
    """A browser with a session that the server would give."""
    kept: dict[str, object] = {}
    session.begin(kept, f"{user}@INVIRT.TEST", "password")
    made = web.browser()
    made.cookies[session.COOKIE] = str(session.signed((web.folder / "key").read_bytes()).dumps(kept))
    return made


def seconds_a_page(browser: Browser) -> float:
    """At the median."""
    taken = []
    for _ in range(PAGES):
        began = time.monotonic()
        assert browser.ask("/").status == 200
        taken.append(time.monotonic() - began)
    return statistics.median(taken)


@pytest.mark.nightly
def test_a_thousand_idle_sockets(web: WebServer) -> None:
    users = [f"idle{number}" for number in range(OWNERS)]
    for user in users:
        owner(web.database, user)
        for number in range(MACHINES):
            machine(web.database, f"{user}-{number}", user)
    alice = web.browser("alice")
    bare = seconds_a_page(alice)

    async def opened(stack: AsyncExitStack, user: str) -> list[Viewer]:
        browser = signed_on(web, user)
        names = [f"{user}-{number}" for number in range(MACHINES)] * EACH
        return [await stack.enter_async_context(watching(browser, name)) for name in names]

    async def story() -> float:
        async with AsyncExitStack() as stack:
            sockets = [one for user in users for one in await opened(stack, user)]
            for viewer in sockets:
                await viewer.until("off")
            beside = await asyncio.to_thread(seconds_a_page, alice)
            assert len(sockets) == OWNERS * MACHINES * EACH and not any(one.socket.closed for one in sockets)
            return beside

    assert asyncio.run(story()) < SLOWER * bare
