"""Consoles behind the web server: the real conserver of a host, and a browser's side of one."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver

from invirt.base import certificates
from invirt_lab.browser import Browser
from tests.parts.console import daemons
from tests.parts.console.rows import CONSOLE, HOST, PORT
from tests.parts.console.server import Server
from tests.parts.console.site import CA, XL, Site, prepare, render
from tests.parts.realm import DEADLINE, loopback
from tests.web.server.conftest import WebServer

CONSERVER = "invirt-host/files/etc/conserver/invirt-host.cf.mako"


@contextmanager
def host(web: WebServer, folder: Path, xl: str = XL) -> Iterator[Site]:
    """The web server's host has consoles: conserver, what is before it, and the web server's certificate."""
    keys, address = folder / "keys", loopback()
    keys.mkdir(parents=True)
    subprocess.run(["sh", "-c", CA, str(keys)], check=True, timeout=DEADLINE)
    environment = {
        **web.realm.environment,
        "INVIRT_CONFIG": str(web.database.config),
        "INVIRT_STATE": str(folder / "state"),
        "INVIRT_RUN": str(folder / "run"),
        "INVIRT_GUEST_USER": "nobody",
        "KRB5_CLIENT_KTNAME": str(web.realm.keytab(f"host/{HOST}")),
    }
    made = Server("host", HOST, folder / "host", environment)
    prepare(made, {HOST: address}, keys, web.realm)
    made.write("sbin/xl", xl, 0o755)
    made.write("etc/conserver/invirt-host.cf", render(CONSERVER))
    made.write("etc/invirt/console/server.pem", (keys / "host.pem").read_text(), 0o600)
    site = Site(web.database, web.realm, Server("console", CONSOLE, folder, {}), made, {HOST: address}, keys)
    try:
        made.up()
        daemons.start_consoles(site)
        known(web, keys, address)
        yield site
    finally:
        made.down()


def known(web: WebServer, keys: Path, address: str) -> None:
    """The web server's own certificate, and where the host is."""
    script = (
        'mkdir -p /etc/invirt/console; cp "$0/ca.pem" /etc/invirt/console/;'
        ' cp "$0/web.pem" /etc/invirt/console/server.pem;'
        ' sed -i "/ $1$/d" /etc/hosts; echo "$2 $1" >>/etc/hosts'
    )
    subprocess.run([*web.enter, "sh", "-c", script, str(keys), HOST, address], check=True)


def says(site: Site, certificate: str, request: bytes) -> bytes:
    """The first line of the host's door to who shows that certificate, and sends that."""
    made = certificates.context(
        str(site.keys / "ca.pem"), str(site.keys / f"{certificate}.pem"), server=False
    )
    try:
        plain = socket.create_connection((site.addresses[HOST], PORT), DEADLINE)
        with made.wrap_socket(plain, suppress_ragged_eofs=False) as client:
            client.sendall(request)
            return client.recv(300).partition(b"\n")[0]
    except (OSError, ssl.SSLError):
        return b""


class _Resolver(AbstractResolver):
    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
        found = {"hostname": host, "host": self.address, "port": port, "family": socket.AF_INET}
        return [found | {"proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


@dataclass
class Viewer:
    """A browser on a console.  seen: its bytes; states: what was told of it."""

    socket: aiohttp.ClientWebSocketResponse
    seen: bytearray = field(default_factory=bytearray)
    states: list[str] = field(default_factory=list)
    shows: bool = True

    async def type(self, text: str) -> None:
        await self.socket.send_bytes(text.encode())

    async def shown(self, count: int) -> None:
        await self.socket.send_str(json.dumps({"shown": count}))

    async def next(self, seconds: float = 6 * DEADLINE) -> bool:
        """Take what comes next; False at the end."""
        message = await self.socket.receive(seconds)
        if message.type is aiohttp.WSMsgType.BINARY:
            self.seen += message.data
            if self.shows:
                await self.shown(len(message.data))
        elif message.type is aiohttp.WSMsgType.TEXT:
            self.states.append(json.loads(message.data)["state"])
            self.words = json.loads(message.data)["words"]
        else:
            return False
        return True

    async def until(self, wanted: str) -> None:
        """Take what comes up to that, in the bytes or as a state."""
        at = 0
        while wanted.encode() not in self.seen[at:] and wanted not in self.states:
            at = max(0, len(self.seen) - len(wanted))
            assert await self.next(), (wanted, bytes(self.seen[-500:]), self.states, self.socket.close_code)


def looking(web: WebServer, user: str, machine: str, **more: str) -> AbstractAsyncContextManager[Viewer]:
    """As watching(), by a browser on which user signs on, or nobody."""
    return watching(web.browser(user), machine, **more)


@asynccontextmanager
async def watching(
    browser: Browser, machine: str, kind: str = "consoles", given: str | None = None, **more: str
) -> AsyncIterator[Viewer]:
    """A console that is opened, or a screen.  given: a pass, by default its own; more: headers.

    aiohttp.WSServerHandshakeError, with a status, if that is refused.
    """
    path = f"/streams/{kind}/{machine}"
    if given is None:
        answer = browser.ask(f"{path}/pass")
        given = answer.text if answer.status == 200 else ""
    site = f"{browser.name}:{browser.port}" if browser.port != 443 else browser.name
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    headers = {"Cookie": cookies, "Origin": f"https://{site}", **more}
    context = ssl.create_default_context(cafile=browser.certificate)
    connector = aiohttp.TCPConnector(resolver=_Resolver(browser.address), ssl=context)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect(f"wss://{site}{path}?pass={given}", headers=headers, max_msg_size=0) as opened,
    ):
        yield Viewer(opened)
