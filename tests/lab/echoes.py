"""People who type at guests' consoles all the while, by ssh and on a page, and a ping: what they notice."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from invirt_lab import cluster, pages
from invirt_lab.browser import Browser
from tests.lab import terminals
from tests.web.server.consoles import Viewer, watching

PAUSE = 0.1  # seconds between two words that are typed
PATIENCE = 30.0  # seconds until an echo is lost
PING = ("ping", "-n", "-i", "0.2", "-c", "25", "-W", "5")


class Echo:
    """One of them.  worst: the longest time, in seconds, until a word was echoed; broken: what ended it."""

    def __init__(self) -> None:
        self.ended, self.began = threading.Event(), threading.Event()
        self.worst, self.words, self.broken = 0.0, 0, ""

    def heard(self, since: float) -> None:
        """A word came back."""
        self.worst = max(self.worst, time.monotonic() - since)
        self.words += 1
        self.began.set()

    def word(self) -> str:
        """What is typed next: it does nothing."""
        return f": echo {self.words}."


def _by_ssh(echo: Echo, machine: str) -> None:
    with terminals.closing(terminals.ssh("alice", machine)) as terminal:
        terminals.prompt(terminal)
        while not echo.ended.wait(PAUSE):
            since = time.monotonic()
            terminal.send(f"{echo.word()}\r")
            terminal.expect_exact(echo.word(), timeout=PATIENCE)
            echo.heard(since)
        terminal.send(terminals.LEAVE)


async def _stream(echo: Echo, browser: Browser, machine: str) -> None:
    async with watching(browser, machine) as viewer:
        await viewer.until("for help")
        while not echo.ended.is_set():
            await asyncio.sleep(PAUSE)
            await asyncio.wait_for(_word(echo, viewer), PATIENCE)


async def _word(echo: Echo, viewer: Viewer) -> None:
    since = time.monotonic()
    viewer.seen.clear()
    await viewer.type(f"{echo.word()}\r")
    await viewer.until(echo.word())
    echo.heard(since)


def _on_a_page(echo: Echo, machine: str) -> None:
    asyncio.run(_stream(echo, pages.browser("alice"), machine))


@contextmanager
def echoes(by_ssh: str, on_a_page: str) -> Iterator[list[Echo]]:
    """Both type for the length of the block, at two machines."""
    made = []
    for way, machine in ((_by_ssh, by_ssh), (_on_a_page, on_a_page)):
        echo = Echo()
        threading.Thread(target=_kept, args=(echo, way, machine), daemon=True).start()
        made.append(echo)
    try:
        for echo in made:
            assert echo.began.wait(60) and not echo.broken, echo.broken
        yield made
    finally:
        for echo in made:
            echo.ended.set()


def _kept(echo: Echo, way: Callable[[Echo, str], None], machine: str) -> None:
    try:
        way(echo, machine)
    except BaseException as error:
        echo.broken = repr(error)
        echo.began.set()
        raise


class Pings:
    """sent and answered: how many; of those that go to an address, since names may not be told meanwhile."""

    def __init__(self, address: str) -> None:
        self.address, self.ended = address, threading.Event()
        self.sent, self.answered = 0, 0
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self.ended.is_set():
            said = cluster.as_user("alice", *PING, self.address, check=False).stdout
            sent, answered = map(int, re.findall(r"(\d+) (?:packets transmitted|received)", said))
            self.sent, self.answered = self.sent + sent, self.answered + answered


@contextmanager
def pings(address: str) -> Iterator[Pings]:
    """They go on for the length of the block; they are counted after it."""
    made = Pings(address)
    made.thread.start()
    try:
        yield made
    finally:
        made.ended.set()
        made.thread.join()
