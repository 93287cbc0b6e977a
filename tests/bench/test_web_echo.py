"""A typed letter's way to a machine's console and back: in a browser's, and by ssh."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator

import pytest

from tests.bench.terminals import echoes, joined, read_until, terminal
from tests.parts.console.conftest import consoles, site
from tests.parts.console.site import Site
from tests.parts.owned import machine
from tests.parts.remote.conftest import WEB
from tests.parts.waiting import until
from tests.results import Result, best, keep
from tests.web.conftest import Chromium, chromium
from tests.web.server.conftest import WebServer, doors, web
from tests.web.server.consoles import Viewer, host, looking

__all__ = ["chromium", "consoles", "doors", "site", "web"]  # the fixtures
LIMIT = 1.5  # times as long
ROUNDS, LETTERS = 3, 100
FRAME = 0.017  # seconds until a browser draws next
# Of each key, the ms until a letter is drawn.
WATCH = """() => {
    let began;
    window.took = [];
    document.addEventListener("keydown", () => { began = performance.now(); }, true);
    const kind = CanvasRenderingContext2D.prototype;
    for (const name of ["drawImage", "fillText"]) {
        const draw = kind[name];
        kind[name] = function (...how) {
            if (began && this.canvas.classList.contains("xterm-text-layer")) {
                window.took.push(performance.now() - began);
                began = undefined;
            }
            return draw.apply(this, how);
        };
    }
}"""


@pytest.fixture(scope="module")
def remus(web: WebServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """alice's remus, whose console gives back what is typed, on a host of the web server's."""
    machine(web.database, "remus", "alice")
    with host(web, tmp_path_factory.mktemp("consoles")) as made:
        made.boot("remus")
        yield made


async def typed(browser: Viewer, times: int) -> list[float]:
    """Seconds until a typed letter comes back, each time."""
    took = []
    for _ in range(times):
        begun, before = time.perf_counter(), browser.seen.count(b"x")
        await browser.type("x")
        while browser.seen.count(b"x") == before:
            assert await browser.next()
        took.append(time.perf_counter() - begun)
    return took


def in_browser(web: WebServer) -> list[float]:
    """As echoes(), of what a browser sends and is sent."""

    async def types() -> list[float]:
        async with looking(web, "alice", "remus") as browser:
            await browser.until("for help")
            await typed(browser, 10)
            return await typed(browser, LETTERS)

    return asyncio.run(types())


def by_ssh(site: Site) -> list[float]:
    with terminal(site.ssh("alice", "remus", "-tt")) as end:
        read_until(end, b"for help")
        joined(end)
        echoes(end, 10)
        return echoes(end, LETTERS)


def test_typed_echo(web: WebServer, remus: Site, consoles: Site) -> None:
    """Each has a host and a conserver; what is behind these is the same program."""
    took: list[tuple[float, float]] = []

    def ratio() -> float:
        turns = [(in_browser(web), by_ssh(consoles)) for _ in range(ROUNDS)]
        ours, theirs = (statistics.median(letter for turn in turns for letter in turn[way]) for way in (0, 1))
        took.append((ours, theirs))
        return ours / theirs

    what = "a typed letter's echo at a browser's console, by Apache"
    best(f"{what}, to that by ssh", ratio, LIMIT)
    ours, theirs = min(took)
    keep(Result(what, ours * 1000, "ms", bare=theirs * 1000))


@pytest.mark.nightly
def test_typed_echo_in_chromium(chromium: Chromium, remus: Site, consoles: Site) -> None:
    """From the key until it is drawn."""
    page = chromium.page("alice")
    page.goto(f"https://{WEB}/machines/remus/console")
    page.locator(".xterm-accessibility-tree").get_by_text("for help").first.wait_for()
    page.evaluate(WATCH)

    def typed_in_chromium() -> list[float]:
        for letter in range(LETTERS):
            page.keyboard.press("x")
            until(lambda letter=letter: page.evaluate("window.took.length") > letter)
        took = [ms / 1000 for ms in page.evaluate("window.took.splice(0)")]
        page.keyboard.press("Enter")
        return took

    took: list[tuple[float, float]] = []

    def ratio() -> float:
        took.append((statistics.median(typed_in_chromium()), statistics.median(by_ssh(consoles))))
        return took[-1][0] / (LIMIT * took[-1][1] + FRAME)

    what = "a typed letter's echo in Chromium"
    best(f"{what}, to {LIMIT} times that by ssh and a frame", ratio, 1.0)
    ours, theirs = min(took)
    keep(Result(what, ours * 1000, "ms", bare=theirs * 1000))
