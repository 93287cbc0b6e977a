"""A console that is shared by a link: who has it sees all and types nothing, as long as it stands."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import aiohttp
import pytest

from invirt.web.streams.machine import NO_MORE
from tests.parts.console.site import Site
from tests.parts.owned import machine
from tests.parts.remote.conftest import WEB
from tests.web.server.conftest import WebServer
from tests.web.server.consoles import Viewer, host, looking, says, watching

EAGER = "\r\x05cf" + "typed by a guest of the owner's\r" + "\x05c."
ENDS = {
    "its time": "UPDATE console_looks SET ends_at = now()",
    "its maker's right": "DELETE FROM members WHERE principal = 'alice@INVIRT.TEST'",
    "the machine's name": "UPDATE machines SET name = 'renamed' WHERE name = 'remus'",
}
UNDONE = (
    "INSERT INTO members SELECT owner_id, 'alice@INVIRT.TEST' FROM owners WHERE name = 'alice'"
    " ON CONFLICT DO NOTHING",
    "UPDATE machines SET name = 'remus' WHERE name = 'renamed'",
)


@pytest.fixture(scope="module")
def site(web: WebServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """alice's remus runs; castor is bob's."""
    machine(web.database, "remus", "alice")
    machine(web.database, "castor", "bob")
    with host(web, tmp_path_factory.mktemp("consoles")) as made:
        made.boot("remus")
        yield made


@pytest.fixture(autouse=True)
def none(web: WebServer) -> Iterator[None]:
    """No looks, before and after."""
    web.database.execute("DELETE FROM console_looks")
    yield
    for query in UNDONE:
        web.database.execute(query)


def share(web: WebServer, user: str = "alice", name: str = "remus") -> str:
    """The token of a link that the page shows."""
    answer = web.browser(user).press(name, "look/share")
    found = re.search(rf'<a href="/look/([\w-]{{43}})">https://{WEB}[:\d]*/look/\1<', answer.text)
    assert found, (answer, web.log())
    return found[1]


def follow(web: WebServer, token: str, **more: str) -> AbstractAsyncContextManager[Viewer]:
    """Whoever has the link, without a session."""
    return watching(web.browser(), token, kind="looks", **more)


def test_who_has_it_sees_all_and_types_nothing(web: WebServer, site: Site) -> None:
    """Also who came first, and takes the keyboard, and says to the host that it leaves."""
    token = share(web)

    async def story() -> None:
        async with follow(web, token) as guest:
            await guest.until("you look on")
            await guest.type(EAGER)
            async with looking(web, "alice", "remus") as alice:
                await alice.until("for help")
                await alice.type("seen by all\r")
                await alice.until("seen by all")
                await guest.until("seen by all")
                await guest.type(EAGER)
                await alice.type("to the end\r")
                await guest.until("to the end")
                await alice.until("to the end")
            assert b"typed by" not in guest.seen + alice.seen and b"look on only" not in alice.seen
            assert guest.states == ["joined"]

    asyncio.run(story())


def test_the_host_hands_on_nothing(web: WebServer, site: Site) -> None:
    """Not even of a web server that was taken over, where it asks for a look; and no look as anybody else."""
    (number,) = web.database.execute("SELECT machine_id FROM machines WHERE name = 'remus'")[0]

    async def story() -> None:
        async with looking(web, "alice", "remus") as alice:
            await alice.until("for help")
            asked = f"remus {number} look\n{EAGER}".encode()
            assert await asyncio.to_thread(says, site, "web", asked) == b"ok"
            await alice.type("the owner's own\r")
            await alice.until("the owner's own")
            assert b"typed by" not in alice.seen

    asyncio.run(story())
    for wrong in (b"remus root look\n", b"remus spy look\n", b"remus 999999 look\n", b"remus look\n"):
        assert says(site, "web", wrong).startswith(b"no "), wrong


@pytest.mark.parametrize("what", ENDS)
def test_it_ends(web: WebServer, site: Site, what: str) -> None:
    """Within seconds who looks on is out; the link shows nothing."""
    token = share(web)

    async def story() -> None:
        async with follow(web, token) as guest:
            await guest.until("joined")
            web.database.execute(ENDS[what])
            await guest.until("ended")
            assert not await guest.next() and guest.socket.close_code == NO_MORE

    asyncio.run(story())
    if what != "the machine's name":
        assert not shows(web, token)


def shows(web: WebServer, token: str) -> bool:
    """Whether the link shows anything to whoever asks for it, in any way."""
    stranger = web.browser()
    paths = (f"/look/{token}", f"/streams/looks/{token}/pass")
    statuses = {stranger.ask(path).status for path in paths}

    async def opened() -> int:
        try:
            async with follow(web, token):
                return 200
        except aiohttp.WSServerHandshakeError as error:
            return error.status

    statuses.add(asyncio.run(opened()))
    assert len(statuses) == 1 and statuses <= {200, 404}, statuses
    return statuses == {200}


def test_its_owner_ends_it(web: WebServer, site: Site) -> None:
    """One of two, by its number; the other's holder sees on."""
    first, second = share(web), share(web)
    (number, _) = [row[0] for row in web.database.execute("SELECT look_id FROM looks ORDER BY 1")]
    page = web.browser("alice").ask("/machines/remus").text
    assert f"Look {number}, by alice" in page and first not in page

    async def story() -> None:
        async with follow(web, first) as gone, follow(web, second) as stays:
            await gone.until("joined")
            await stays.until("joined")
            answer = await asyncio.to_thread(
                web.browser("alice").press, "remus", "look/end", number=str(number)
            )
            assert answer.status == 303
            await gone.until("ended")
            async with looking(web, "alice", "remus") as alice:
                await alice.until("for help")
                await alice.type("for the second\r")
                await stays.until("for the second")

    asyncio.run(story())
    assert not shows(web, first) and shows(web, second)


def test_it_shows_nothing_else(web: WebServer, site: Site) -> None:
    """No way to a page, none to another machine, no word to other sites; and no session is asked or given."""
    token = share(web)
    stranger = web.browser()
    page = stranger.ask(f"/look/{token}")
    assert page.status == 200 and not stranger.cookies
    assert page.headers["Referrer-Policy"] == "no-referrer" and page.headers["Cache-Control"] == "no-store"
    assert set(re.findall(r'href="(/[^"]*)"', page.text)) <= {"/"} | set(
        re.findall(r'href="(/static/[^"]*)"', page.text)
    )
    assert "alice" not in page.text and "<form" not in page.text
    for path in ("/machines/remus", "/streams/consoles/remus/pass", f"/streams/consoles/{token}/pass"):
        assert stranger.ask(path).status in (303, 401, 404), path
    for wrong in (token[:-1], f"{token}x", "x" * 43, "%00" * 43, token.swapcase()):
        assert not shows(web, wrong), wrong


def test_who_may_share(web: WebServer, site: Site) -> None:
    """Owners alone, and so many; who was let in sees no way to."""
    web.database.execute(
        "INSERT INTO machine_access (machine_id, principal)"
        " SELECT machine_id, 'bob@INVIRT.TEST' FROM machines WHERE name = 'remus'"
    )
    assert "Share a look" not in web.browser("bob").ask("/machines/remus").text
    browser = web.browser("bob")
    secret = re.search(r'name="secret" value="([^"]+)"', browser.ask("/").text)
    assert secret
    for path, status in (("remus/look/share", 403), ("remus/look/end", 403), ("remus/look/x", 404)):
        assert browser.ask(f"/machines/{path}", {"secret": secret[1]}).status == status, path
    web.database.execute("DELETE FROM machine_access")
    web.database.execute(
        "INSERT INTO console_looks (machine_id, principal, hash)"
        " SELECT machine_id, 'alice@INVIRT.TEST', sha256(n::text::bytea)"
        " FROM machines, generate_series(1, 10) n WHERE name = 'remus'"
    )
    refused = web.browser("alice").press("remus", "look/share")
    assert refused.status == 409 and "at most 10 looks" in refused.text
