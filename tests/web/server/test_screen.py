"""Screens in a browser, through the real Apache, aiohttp, the host's door and QEMU."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from invirt.web.streams.machine import NO_MORE
from invirt.web.streams.screen import EACH
from tests.parts.owned import BOB, WAYS, let_in, let_out
from tests.parts.waiting import until
from tests.web.server.conftest import WebServer
from tests.web.server.consoles import says
from tests.web.server.screens import Guests, guests, looking, refusal

LIT = 500  # pixels of the firmware's words


@pytest.fixture(scope="module")
def site(web: WebServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guests]:
    with guests(web, tmp_path_factory.mktemp("s")) as made:
        yield made


def test_many_see_the_firmware(web: WebServer, site: Guests) -> None:
    """Its owner, and an administrator; who comes second puts nobody out."""

    async def story() -> None:
        async with looking(web, "alice", "remus") as first, looking(web, "carol", "remus") as second:
            await first.lit(LIT)
            await second.lit(LIT)
            await first.carry(first.rfb.frame())
            assert first.rfb.lit >= LIT
            await asyncio.to_thread(until, lambda: b"Booting from" in site.shown("remus"))
            for letter in b"hello":
                await second.viewer.socket.send_bytes(second.rfb.key(letter))
            await asyncio.to_thread(until, lambda: b"hello" in site.shown("remus"))

    asyncio.run(story())


def test_who_may(web: WebServer, site: Guests) -> None:
    """Another's machine is not there; no session, no screen; no other site; no PC, no screen."""

    async def story() -> None:
        assert await refusal(web, "alice", "castor") == 404
        assert await refusal(web, "alice", "nothing") == 404
        assert await refusal(web, "", "remus") == 401
        assert await refusal(web, "alice", "remus", Origin="https://elsewhere.test") == 403
        assert await refusal(web, "bob", "pollux") == 404

    asyncio.run(story())


@WAYS
def test_it_ends_with_the_right(way: str, web: WebServer, site: Guests) -> None:
    let_in(web.database, "remus", BOB, way)

    async def story() -> None:
        async with looking(web, "alice", "remus") as alice, looking(web, "bob", "remus") as bob:
            await bob.lit(LIT)
            let_out(web.database, "remus", way)
            await bob.viewer.until("ended")
            assert not await bob.viewer.next() and bob.viewer.socket.close_code == NO_MORE
            await alice.lit(LIT)
        assert await refusal(web, "bob", "remus") == 404

    asyncio.run(story())


def test_it_follows_the_machine(web: WebServer, site: Guests) -> None:
    """Off is told, and waited for; a connection ends with the guest's run, and the next is of the next."""

    async def story() -> None:
        async with looking(web, "alice", "romulus") as alice:
            await alice.viewer.until("off")
            await asyncio.to_thread(site.boot, "romulus")
            await alice.lit(LIT)
            await asyncio.to_thread(site.halt, "romulus")
            while await alice.viewer.next():
                pass
            assert alice.viewer.socket.close_code == aiohttp.WSCloseCode.OK
        async with looking(web, "alice", "romulus") as again:
            await again.viewer.until("off")
            await asyncio.to_thread(site.boot, "romulus")
            await again.lit(LIT)
        await asyncio.to_thread(site.halt, "romulus")

    asyncio.run(story())


def test_as_many_as_there_may_be(web: WebServer, site: Guests) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            for number in range(EACH):
                await stack.enter_async_context(looking(web, ("alice", "carol")[number % 2], "remus"))
            assert await refusal(web, "carol", "remus") == 429
            assert await refusal(web, "bob", "castor") == 0

    asyncio.run(story())


def peak(web: WebServer) -> int:
    """KiB of memory that the streams' process has had at most."""
    assert web.streams
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{web.streams.pid}/status").read_text())
    assert found
    return int(found[1])


def test_who_takes_nothing_stalls_nobody(web: WebServer, site: Guests) -> None:
    """One asks for a hundred frames and takes none; another sees the screen; neither costs much."""

    async def story() -> None:
        async with looking(web, "alice", "remus") as slow, looking(web, "carol", "remus") as quick:
            await slow.lit(LIT)
            await quick.lit(LIT)
            before = peak(web)
            for _ in range(100):
                await slow.viewer.socket.send_bytes(slow.rfb.ask())
            for _ in range(5):
                await quick.carry(quick.rfb.frame())
            assert peak(web) - before < 16 << 10
            await slow.carry(slow.rfb.taken())
            assert slow.rfb.lit >= LIT

    asyncio.run(story())


def test_the_hosts_door(site: Guests) -> None:
    """Screens are the web server's alone, of machines that run here, by their number."""
    number = site.numbers["remus"]
    asked = b"remus %d screen\n" % number
    assert says(site.site, "web", asked) == b"ok"
    assert says(site.site, "console", asked) == b"no screens are for the web server"
    for stranger in ("host", "host2", "host-as-client", "stranger", "forged"):
        assert not says(site.site, stranger, asked), stranger
    for wrong in (
        *(b"remus %d screen\n" % (number + 100), b"remus %d screen x\n" % number, b"remus ../1 screen\n"),
        *(b"remus screen\n", b"remus %d/../%d screen\n" % (number, number), b"../../x 1 screen\n"),
        *(b"remus root screen\n", b"remus 0 screen\n", b"remus -1 screen\n", b"x" * 500, b"\xff\x00\n"),
        b"remus %d SCREEN\n" % number,
    ):
        assert not says(site.site, "web", wrong).startswith(b"ok"), wrong
