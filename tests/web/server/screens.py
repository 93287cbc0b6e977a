"""Screens behind the web server: real QEMUs of a host, and a browser's side of one."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import aiohttp

from invirt.host.domain import DomainConfig
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.supervisor import Alone
from tests.parts.console.rows import HOST
from tests.parts.console.site import Site
from tests.parts.owned import machine
from tests.parts.realm import DEADLINE
from tests.parts.rfb import Talk
from tests.parts.rfb import Viewer as Rfb
from tests.web.server.conftest import WebServer
from tests.web.server.consoles import Viewer, host, watching

PC = "INSERT INTO types (name, virt) VALUES ('pc', 'hvm') ON CONFLICT DO NOTHING"
IS_PC = (
    "UPDATE machines SET type_id = (SELECT type_id FROM types WHERE name = 'pc') WHERE name = %s"
    " RETURNING machine_id"
)
IS_HERE = "UPDATE machines SET host_id = (SELECT host_id FROM hosts WHERE hostname = %s) WHERE name = %s"
# A boot sector that shows what is typed (BIOS: int 16h, int 10h), for ever.
ECHO = bytes.fromhex("31c0 b400 cd16 b40e bb0700 cd10 ebf3").ljust(510, b"\0") + b"\x55\xaa"
SIZE = 1 << 20  # bytes of its disk


@dataclass
class Guests:
    """PCs that run in real QEMUs on the site's host."""

    site: Site
    folder: Path
    numbers: dict[str, int] = field(default_factory=dict)

    def make(self, name: str, owner: str) -> None:
        """A machine that is off."""
        machine(self.site.database, name, owner)
        self.numbers[name] = self.site.database.execute(IS_PC, (name,))[0][0]

    @contextmanager
    def _host(self) -> Iterator[Qemu]:
        where = {
            "INVIRT_STATE": str(self.folder / "state"),
            "INVIRT_RUN": str(self.folder / "run"),
            "INVIRT_CONFIG": str(self.site.database.config),
        }
        with patch.dict(os.environ, where):
            yield Qemu(Alone("tcg"))

    def boot(self, name: str) -> None:
        """It shows what is typed, on the screen and, as all that its firmware shows, on the serial line."""
        disk = self.folder / f"{name}.img"
        disk.write_bytes(ECHO.ljust(SIZE, b"\0"))
        settings = {
            **{"name": f"d_{name}", "machine": self.numbers[name], "type": "hvm", "memory": 64},
            "disk": [f"format=raw, vdev=hda, access=rw, target={disk}"],
        }
        with self._host() as qemu:
            qemu.create(DomainConfig(settings))
        self.site.database.execute(IS_HERE, (HOST, name))

    def shown(self, name: str) -> bytes:
        """What it has shown, as its serial line tells: sequences of a terminal are among it."""
        return (self.folder / f"state/guests/d_{name}/console.log").read_bytes()

    def halt(self, name: str) -> None:
        with self._host() as qemu:
            qemu.destroy(f"d_{name}")
        self.site.database.execute("UPDATE machines SET host_id = NULL WHERE name = %s", (name,))

    def end(self) -> None:
        with self._host() as qemu:
            for domain in qemu.domains():
                qemu.destroy(domain.name)


@contextmanager
def guests(web: WebServer, folder: Path) -> Iterator[Guests]:
    """alice's remus, which runs, and romulus, which is off; bob's castor."""
    web.database.execute(PC)
    with host(web, folder) as site:
        made = Guests(site, folder)
        try:
            for name, owner in (("remus", "alice"), ("romulus", "alice"), ("castor", "bob")):
                made.make(name, owner)
            machine(web.database, "pollux", "bob")  # no PC
            made.boot("remus")
            yield made
        finally:
            made.end()


@dataclass
class Screen:
    """A browser on a screen: words first, then RFB."""

    viewer: Viewer
    rfb: Rfb = field(default_factory=Rfb)

    async def carry(self, talk: Talk, seconds: float = 6 * DEADLINE) -> None:
        """Until the talk is over, or AssertionError."""
        deadline = time.monotonic() + seconds
        said = next(talk)
        try:
            while True:
                if isinstance(said, bytes):
                    await self.viewer.socket.send_bytes(said)
                    said = next(talk)
                    continue
                seen = self.viewer.seen
                while len(seen) < said:
                    assert time.monotonic() < deadline
                    assert await self.viewer.next(), (self.viewer.states, self.viewer.socket.close_code)
                got = bytes(seen[:said])
                del seen[:said]
                said = talk.send(got)
        except StopIteration:
            return

    async def lit(self, many: int) -> None:
        """Until the machine is joined, and that many pixels are not black."""
        await self.viewer.until("joined")
        await self.carry(self.rfb.begin())
        await self.carry(self.rfb.until_lit(many))


@asynccontextmanager
async def looking(web: WebServer, user: str, name: str, **more: str) -> AsyncIterator[Screen]:
    """A screen that user opens."""
    async with watching(web.browser(user), name, kind="screens", **more) as viewer:
        viewer.shows = False
        yield Screen(viewer)


async def refusal(web: WebServer, user: str, name: str, **more: str) -> int:
    """The status of the refusal; 0 where there is none."""
    try:
        async with looking(web, user, name, **more):
            return 0
    except aiohttp.WSServerHandshakeError as error:
        return error.status
