"""A machine's screen in a real browser: what its firmware says, and keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.parts.remote.conftest import WEB
from tests.parts.waiting import until
from tests.web.conftest import PHONE, Chromium, barriers, picture
from tests.web.server.screens import Guests, guests

LIT = """(() => {
    const canvas = document.querySelector("#screen canvas");
    if (!canvas || !canvas.width) return 0;
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let lit = 0;
    for (let at = 0; at < pixels.length; at += 4) lit += pixels[at] + pixels[at + 1] + pixels[at + 2] > 0;
    return lit;
})()"""
TEXT = "Hello, World! ~{}|?:<>_+"


@pytest.fixture(scope="module")
def site(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guests]:
    with guests(chromium.server, tmp_path_factory.mktemp("s")) as made:
        yield made


def lit(page: Any) -> int:
    """How many pixels of the screen are not black."""
    found: int = page.evaluate(LIT)
    return found


def test_the_firmware_is_seen_and_the_screen_comes_again(chromium: Chromium, site: Guests) -> None:
    page = chromium.page("alice")
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"https://{WEB}/machines/remus")
    page.get_by_role("link", name="Screen", exact=True).click()
    page.get_by_text("Connected.").wait_for()
    until(lambda: lit(page) > 500, lambda: str(wrong), 20)
    picture(page, "screen-desk")
    assert not barriers(page)
    assert page.evaluate("document.activeElement.tagName") == "CANVAS"
    until(lambda: b"Booting from" in site.shown("remus"))
    page.keyboard.type("by hand")
    until(lambda: b"by hand" in site.shown("remus"), lambda: repr(site.shown("remus")[-200:]))
    page.get_by_placeholder("Text").fill(TEXT)
    page.get_by_role("button", name="Type it").click()
    until(lambda: TEXT.encode() in site.shown("remus"), lambda: repr(site.shown("remus")[-200:]))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("navigator.clipboard.writeText('Pasted: ok')")
    page.get_by_role("button", name="Paste").click()
    until(lambda: b"Pasted: ok" in site.shown("remus"), lambda: repr(site.shown("remus")[-200:]))
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("document.fullscreenElement && document.fullscreenElement.id === 'screen'")
    page.evaluate("document.exitFullscreen()")
    page.get_by_role("button", name="Ctrl-Alt-Del").click()
    until(lambda: site.shown("remus").count(b"Booting from") == 2)
    assert not [line for line in wrong if "Canvas2D" not in line]
    site.halt("remus")
    page.get_by_text("remus is off").wait_for()
    site.boot("remus")
    page.get_by_text("Connected.").wait_for()
    until(lambda: lit(page) > 500, lambda: str(wrong), 20)
    page.context.close()


def test_on_a_phone(chromium: Chromium, site: Guests) -> None:
    page = chromium.page("alice", PHONE)
    page.goto(f"https://{WEB}/machines/remus/screen")
    page.get_by_text("Connected.").wait_for()
    until(lambda: lit(page) > 500, seconds=20)
    picture(page, "screen-phone")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.context.close()


def test_a_machine_without_a_screen_says_so(chromium: Chromium, site: Guests) -> None:
    page = chromium.page("bob")
    page.goto(f"https://{WEB}/machines/pollux")
    assert not page.get_by_role("link", name="Screen", exact=True).count()
    page.goto(f"https://{WEB}/machines/pollux/screen")
    page.get_by_text("pollux has no screen").wait_for()
    page.context.close()
