"""A real browser, outside of the lab: a person makes a machine and sits at both its consoles."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from invirt_lab import pages
from tests.lab.users import Lab
from tests.parts.waiting import until
from tests.web.conftest import CHROMIUM, PLAYWRIGHT
from tests.web.test_screen import lit
from tests.web.test_story import SIZES, make
from tests.web.test_streams import shown


@pytest.fixture(scope="module")
def chromium(lab: Lab) -> Iterator[Any]:
    """Debian's, without its sandbox, as root needs it."""
    if not PLAYWRIGHT.exists():
        pytest.skip("no Playwright; scripts/test brings it")
    sys.path.append(str(PLAYWRIGHT))
    from playwright.sync_api import sync_playwright

    lab.sql("INSERT INTO types (name, virt) VALUES ('pc', 'hvm') ON CONFLICT DO NOTHING")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def press(page: Any, button: str, name: str) -> None:
    """A button of the machine's page, until its operation is done; then back."""
    page.get_by_role("button", name=button).click()
    page.get_by_text("It is done.").wait_for()
    page.get_by_role("link", name=f"To {name}").click()


@pytest.mark.parametrize("size", SIZES)
def test_the_whole_story(lab: Lab, chromium: Any, size: str) -> None:
    name, pc = f"story-{size}", f"pc-{size}"
    credentials = {"username": "alice", "password": pages.password("alice")}
    context = chromium.new_context(
        viewport=SIZES[size], ignore_https_errors=True, http_credentials=credentials
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(pages.url())
    page.get_by_role("link", name="with your password").click()
    try:
        make(page, name)
        press(page, "Start", name)
        page.get_by_role("button", name="Share a look").click()
        page.get_by_text("Whoever has this link").wait_for()
        page.get_by_role("link", name="Console", exact=True).click()
        shown(page, "guest#")
        page.keyboard.type("echo $((6*7)) is it\n")
        shown(page, "42 is it")
        alice = pages.browser("alice")
        alice.follow(alice.make(pc, type="pc", memory="128M", disk="1G"))
        alice.follow(alice.press(pc, "create"))
        page.goto(f"{pages.url()}machines/{pc}")
        page.get_by_role("link", name="Screen", exact=True).click()
        page.get_by_text("Connected.").wait_for()
        until(lambda: lit(page) > 500)
        page.goto(f"{pages.url()}machines/{name}")
        press(page, "Power off", name)
        page.get_by_text("Delete it").click()
        page.get_by_label("Type its name").fill(name)
        page.get_by_role("button", name=f"Delete {name}").click()
        page.get_by_text("It is done.").wait_for()
    finally:
        context.close()
        lab.remove(pc, "alice")
        lab.remove(name, "alice")
