"""A browser that takes nothing of a screen is cut off, and holds nothing up."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from invirt.web.api.bearer import Bearer
from invirt.web.streams import screen
from invirt.web.streams.screen import Screen

pytestmark = pytest.mark.children  # a connection on the loopback
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def test_who_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "LAGGING", 0.3)
    ended: list[str] = []

    async def shown(request: web.Request) -> web.WebSocketResponse:
        opened = web.WebSocketResponse()
        await opened.prepare(request)
        seat = Screen(None, request, opened, Bearer("alice@INVIRT.TEST"), "remus", 1)  # type: ignore[arg-type]
        try:
            while True:
                await seat._in_time(opened.send_bytes(bytes(1 << 16)))
        except ConnectionError as error:
            ended.append(str(error))
            assert request.transport is None or request.transport.is_closing()
        return opened

    async def story() -> None:
        app = web.Application()
        app.router.add_get("/", shown)
        runner = web.AppRunner(app)
        await runner.setup()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            await web.SockSite(runner, listening).start()
            _, writer = await asyncio.open_connection(*listening.getsockname(), limit=1024)
            writer.write(UPGRADE)
            while not ended:
                await asyncio.sleep(0.02)
            writer.close()
            await runner.cleanup()

    asyncio.run(asyncio.wait_for(story(), 30))
    assert ended == ["too slow"]
