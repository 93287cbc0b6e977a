"""Serial consoles in a browser, through the real Apache, aiohttp and conserver."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from invirt.web.streams.machine import NO_MORE
from invirt.web.streams.tail import MOST
from tests.parts.console import daemons
from tests.parts.console.site import Site
from tests.parts.owned import BOB, WAYS, let_in, let_out, machine
from tests.web.server.conftest import WebServer
from tests.web.server.consoles import Viewer, host, looking, watching

FLOOD = """\
stty raw -echo
echo ready
read go
yes 'all work and no play' | head -c {}
printf '\\nall''done'
exec cat
"""
LINE = b"all work and no play\n"
MISSING = re.compile(rb"\r\n\[(\d+) bytes came too fast to be shown\]\r\n")
SHORT, LONG = 6 << 20, 50 << 20  # bytes


@pytest.fixture(scope="module")
def site(web: WebServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """alice's remus runs; castor is bob's; bob is let into remus."""
    for name, whose in (("remus", "alice"), ("romulus", "alice"), ("castor", "bob")):
        machine(web.database, name, whose)
    with host(web, tmp_path_factory.mktemp("consoles")) as made:
        made.boot("remus")
        made.boot("castor")
        yield made


def refused(web: WebServer, user: str, name: str, **more: str) -> int:
    async def tried() -> int:
        try:
            async with looking(web, user, name, **more):
                return 0
        except aiohttp.WSServerHandshakeError as error:
            return error.status

    return asyncio.run(tried())


def test_many_look_on_one_types(web: WebServer, site: Site) -> None:
    """Who comes second sees what the first one types; who comes again, what was there."""

    async def story() -> None:
        async with looking(web, "alice", "remus") as first:
            await first.until("for help")
            await first.type("hello\r")
            await first.until("hello")
            async with looking(web, "carol", "remus") as second:
                await second.until("look on only")
                await second.until("hello")
                await second.type("not me\r")
                await first.type("goodbye\r")
                await second.until("goodbye")
                await first.until("goodbye")
                assert b"not me" not in first.seen
                await second.type("\x05cf")
                await second.type("now me\r")
                await first.until("now me")
        async with looking(web, "alice", "remus") as again:
            await again.until("now me")

    asyncio.run(story())


def test_who_may(web: WebServer, site: Site) -> None:
    """Another's machine is not there; no session, no console; no other site opens one."""
    assert refused(web, "alice", "castor") == 404
    assert refused(web, "alice", "nothing") == 404
    assert refused(web, "", "remus") == 401
    assert refused(web, "alice", "remus", Origin="https://elsewhere.test") == 403


def test_a_pass_is_for_one_user_machine_and_kind(web: WebServer, site: Site) -> None:
    """A session alone opens nothing, and no pass but its own; romulus is off, remus is on its host."""
    alice, carol = web.browser("alice"), web.browser("carol")
    given = alice.ask("/streams/consoles/remus/pass")
    assert given.status == 200 and given.headers["Cache-Control"] == "no-store"

    async def status(passed: str, machine: str = "remus", kind: str = "consoles") -> int:
        try:
            async with watching(alice, machine, kind, given=passed):
                return 0
        except aiohttp.WSServerHandshakeError as error:
            return error.status

    async def story() -> None:
        assert await status(given.text) == 0
        for other in ("", "x", carol.ask("/streams/consoles/remus/pass").text,
                      alice.ask("/streams/consoles/romulus/pass").text,
                      alice.ask("/streams/screens/remus/pass").text):  # fmt: skip
            assert await status(other) == 403
        assert await status(given.text, "romulus") == 403
        assert await status(given.text, kind="screens") == 403

    asyncio.run(story())
    assert alice.ask("/streams/consoles/castor/pass").status == 404
    assert web.browser().ask("/streams/consoles/remus/pass").status == 401


@WAYS
def test_it_ends_with_the_right(way: str, web: WebServer, site: Site) -> None:
    """Who is let in no more is out within seconds, and told why; others stay; it ends by ^Ec., too."""
    let_in(web.database, "remus", BOB, way)

    async def story() -> None:
        async with looking(web, "alice", "remus") as alice, looking(web, "bob", "remus") as bob:
            await bob.until("joined")
            let_out(web.database, "remus", way)
            await bob.until("ended")
            assert not await bob.next() and bob.socket.close_code == NO_MORE
            await alice.until("for help")
            await alice.type("\x05c.")
            await alice.until("left")
            assert not await alice.next() and alice.socket.close_code == aiohttp.WSCloseCode.OK

    asyncio.run(story())
    assert refused(web, "bob", "remus") == 404


def test_it_follows_the_machine(web: WebServer, site: Site) -> None:
    """Off is told, and waited for; a guest that ends and comes again has the same console."""

    async def story() -> None:
        async with looking(web, "alice", "romulus") as alice:
            await alice.until("off")
            site.boot("romulus")
            await alice.until("this is d_romulus, booted")
            site.halt("romulus")
            alice.states.clear()
            await alice.until("off")
            alice.seen.clear()
            site.boot("romulus", "echo again; exec cat")
            await alice.until("again")

    asyncio.run(story())


def test_nobody_poses_as_a_host(web: WebServer, site: Site) -> None:
    """A certificate of another name, by the same authority, gets nothing that is typed."""
    daemon = site.host.children.pop()  # what is before conserver
    daemon.terminate()
    daemon.wait(30)
    try:
        site.host.write("etc/invirt/console/server.pem", (site.keys / "host2.pem").read_text(), 0o600)
        imposter = daemons.start_door(site)

        async def story() -> None:
            async with looking(web, "alice", "remus") as alice:
                await alice.until("waiting")
                while "no certificate of its name" not in alice.words:
                    assert await alice.next()
                assert not alice.seen
                site.host.write("etc/invirt/console/server.pem", (site.keys / "host.pem").read_text(), 0o600)
                imposter.terminate()
                imposter.wait(30)
                daemons.start_door(site)
                await alice.until("for help")

        asyncio.run(story())
    finally:
        site.host.write("etc/invirt/console/server.pem", (site.keys / "host.pem").read_text(), 0o600)


def test_as_many_browsers_as_the_site_says(web: WebServer, site: Site) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            for user in ("alice", "alice", "carol", "carol"):
                await stack.enter_async_context(looking(web, user, "remus"))
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await stack.enter_async_context(looking(web, "carol", "remus"))
            assert caught.value.status == 429
            other = await stack.enter_async_context(looking(web, "carol", "castor"))
            await other.until("joined")

    asyncio.run(story())


def accounted(seen: bytes, size: int) -> int:
    """How much was not shown; what was is what the guest said, and none is missing unsaid."""
    _, _, after = seen.partition(b"ready\n")
    shown = MISSING.split(after.removesuffix(b"\nalldone"))
    texts, lost = shown[::2], sum(map(int, shown[1::2]))
    assert sum(map(len, texts)) + lost == size
    whole = LINE * (size // len(LINE) + 2)
    wrong = [text[:100] for text in texts if text not in whole]
    assert not wrong
    return lost


def peak(web: WebServer) -> int:
    """KiB of memory that the streams' process has had at most."""
    assert web.streams
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{web.streams.pid}/status").read_text())
    assert found
    return int(found[1])


@pytest.mark.parametrize("size", [SHORT, pytest.param(LONG, marks=pytest.mark.nightly)])
def test_a_flood_stalls_nobody(web: WebServer, site: Site, size: int) -> None:
    """Who shows nothing holds up neither guest nor other, costs little, and sees the end in its time."""
    name = f"flood-{size}"
    machine(web.database, name, "alice")
    site.boot(name, FLOOD.format(size))

    async def story() -> tuple[Viewer, Viewer]:
        async with looking(web, "alice", name) as slow:
            slow.shows = False
            await slow.until("ready")  # who comes first has the keyboard
            async with looking(web, "carol", name) as quick:
                await quick.until("ready")
                before = peak(web)
                held = asyncio.create_task(slow.until("\nalldone"))
                await slow.type("\n")
                await quick.until("\nalldone")
                assert not held.done() and peak(web) - before < 16 << 10
                slow.shows = True
                await slow.shown(len(slow.seen))
                await held
                return slow, quick

    slow, quick = asyncio.run(story())
    site.halt(name)
    assert accounted(bytes(slow.seen), size) >= size - 2 * MOST
    assert accounted(bytes(quick.seen), size) < size
