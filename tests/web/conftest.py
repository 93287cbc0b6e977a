"""A real browser before the web server of tests/web/server: Debian's chromium, driven by Playwright.

Playwright, and axe-core to look for what keeps people out, are brought by scripts/test into
.cache/playwright.
INVIRT_TEST_PICTURES is a folder for pictures of each page.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.parts.realm import PASSWORD
from tests.parts.remote.conftest import WEB
from tests.web.server.conftest import WebServer, doors, web

ROOT = Path(__file__).parents[2]
PLAYWRIGHT = ROOT / ".cache/playwright"
CHROMIUM = "/usr/bin/chromium"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
AXE = (
    "(async () => (await axe.run()).violations.map(v => `${v.id}: ${v.nodes.map(n => n.html).join(' ')}`))()"
)

__all__ = ["doors", "web"]


@dataclass
class Chromium:
    """A running browser, and the server that it is led to."""

    browser: Any
    server: WebServer

    def page(self, user: str = "", size: dict[str, int] = DESK, **more: Any) -> Any:
        """A window of its own; with user's session, who signed on by password."""
        credentials = {"username": user, "password": PASSWORD} if user else None
        context = self.browser.new_context(
            viewport=size,
            ignore_https_errors=True,
            http_credentials=credentials,
            reduced_motion="reduce",
            **more,
        )
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.goto(f"https://{WEB}/")
        if user:
            page.get_by_role("link", name="with your password").click()
            page.get_by_role("heading", name="My machines", exact=True).wait_for()
        return page


@pytest.fixture(scope="module")
def chromium(web: WebServer) -> Iterator[Chromium]:
    """Debian's, without its sandbox, as root needs it."""
    if not PLAYWRIGHT.exists():
        pytest.skip("no Playwright; scripts/test brings it")
    sys.path.append(str(PLAYWRIGHT))
    from playwright.sync_api import sync_playwright

    subprocess.run([ROOT / "scripts/make-console"], check=True, timeout=60)

    led = f"--host-resolver-rules=MAP {WEB} {web.address}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", led])
        yield Chromium(browser, web)
        browser.close()


def picture(page: Any, name: str) -> None:
    """A picture of the whole page, if they are wanted."""
    folder = os.environ.get("INVIRT_TEST_PICTURES")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def barriers(page: Any) -> list[str]:
    """What axe-core finds on the page."""
    page.evaluate((PLAYWRIGHT / "axe_core_python/axe.min.js").read_text())
    found: list[str] = page.evaluate(AXE)
    return found
