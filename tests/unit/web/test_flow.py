"""What comes of a screen's host: whole, and no faster than it is taken."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from invirt.web.streams.line import FLOWING, Flow

pytestmark = pytest.mark.children  # a pair of sockets
MUCH = 8 << 20  # bytes


async def joined() -> tuple[Flow, socket.socket]:
    """A flow that has been let in, and its host's side."""
    host, ours = socket.socketpair()
    host.setblocking(False)
    _, flow = await asyncio.get_running_loop().create_connection(Flow, sock=ours)
    return flow, host


async def pushed(host: socket.socket, said: bytes) -> int:
    """How much of it the host can say while nobody takes any."""
    sent = 0
    while sent < len(said):
        try:
            sent += host.send(said[sent : sent + 65536])
        except BlockingIOError:
            before = sent
            await asyncio.sleep(0.05)
            try:
                sent += host.send(said[sent : sent + 65536])
            except BlockingIOError:
                return before
    return sent


def test_who_takes_nothing_is_told_little_and_misses_nothing() -> None:
    async def story() -> None:
        flow, host = await joined()
        loop = asyncio.get_running_loop()
        said = os.urandom(MUCH)
        host.send(b"ok\n")
        sent = await pushed(host, said)
        assert await flow.answer == "ok"
        assert FLOWING < sent < 4 * FLOWING + (1 << 20)
        rest = asyncio.ensure_future(loop.sock_sendall(host, said[sent:]))
        got = bytearray()
        while len(got) < MUCH:
            got += await flow.read(1 << 16)
        await rest
        assert got == said
        host.close()
        assert await flow.read(1) == b""

    asyncio.run(asyncio.wait_for(story(), 60))


def test_what_was_said_before_the_end_is_given() -> None:
    async def story() -> None:
        flow, host = await joined()
        host.send(b"ok\nlast words")
        host.close()
        assert await flow.read(4) == b"last"
        assert await flow.read(100) == b" words"
        assert await flow.read(100) == b""

    asyncio.run(asyncio.wait_for(story(), 20))


def test_who_writes_waits_for_the_host_and_not_after_its_end() -> None:
    async def story() -> None:
        flow, host = await joined()
        writing = asyncio.ensure_future(flow.write(bytes(MUCH)))
        await asyncio.sleep(0.1)
        assert not writing.done()
        host.close()
        await writing

    asyncio.run(asyncio.wait_for(story(), 20))
