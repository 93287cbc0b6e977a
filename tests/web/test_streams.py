"""What stays open for long, in a real browser: an operation as it goes, a console at which a person types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.parts.console.site import Site
from tests.parts.owned import machine
from tests.parts.realm import end
from tests.parts.remote.conftest import WEB
from tests.parts.waiting import until
from tests.web.conftest import DESK, PHONE, Chromium, barriers, picture
from tests.web.server.conftest import passed
from tests.web.server.consoles import host
from tests.web.server.test_progress import BEGUN, ENDED, STEP

SHELL = """\
stty -echo
printf 'welcome to remus\\r\\n$ '
while read -r line; do printf '%s\\r\\n' "$line"; eval "$line"; printf '$ '; done
"""


@pytest.fixture(scope="module")
def site(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """alice's remus, which is a shell on a line."""
    machine(chromium.server.database, "remus", "alice")
    with host(chromium.server, tmp_path_factory.mktemp("consoles")) as made:
        made.boot("remus", SHELL)
        yield made


def shown(page: Any, text: str) -> None:
    """Wait until the terminal says so, as a screen reader is told."""
    page.locator(".xterm-accessibility-tree").get_by_text(text).first.wait_for()


def cut(chromium: Chromium) -> None:
    """All streams end, as at an upgrade."""
    assert chromium.server.streams
    end(chromium.server.streams)
    chromium.server.streams = passed(chromium.server, "streams")


def test_typing_finding_and_coming_again(chromium: Chromium, site: Site) -> None:
    """What is typed is answered; what was there is there after a reload; what was printed is found."""
    page = chromium.page("alice")
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"https://{WEB}/machines/remus")
    page.get_by_role("link", name="Console", exact=True).click()
    shown(page, "welcome to remus")
    page.keyboard.type("echo $((6*7)) is it\n")
    shown(page, "42 is it")
    picture(page, "console-desk")
    page.reload()
    shown(page, "42 is it")
    page.get_by_placeholder("Find").fill("42 IS")
    page.get_by_placeholder("Find").press("Enter")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    until(lambda: page.evaluate("navigator.clipboard.readText()") == "42 is")
    assert not [line for line in wrong if "Canvas2D" not in line]
    assert not barriers(page)
    cut(chromium)
    page.get_by_text("The connection was cut").wait_for()
    page.get_by_text("Connected.").wait_for()
    shown(page, "42 is it")
    page.locator("#terminal").click()
    page.keyboard.type("echo $((6*9)) too\n")
    shown(page, "54 too")
    page.context.close()


def test_on_a_phone(chromium: Chromium, site: Site) -> None:
    page = chromium.page("alice", PHONE)
    page.goto(f"https://{WEB}/machines/remus/console")
    shown(page, "remus")
    picture(page, "console-phone")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.context.close()


def test_an_operation_as_it_goes(chromium: Chromium, site: Site) -> None:
    """Steps come into the page, which is loaded anew at the end alone; what was cut is taken up again."""
    database = chromium.server.database
    number = int(database.execute(BEGUN)[0][0])
    page = chromium.page("alice")
    page.goto(f"https://{WEB}/operations/{number}")
    steps = page.locator("#steps li")
    page.get_by_text("It is under way.").wait_for()
    page.evaluate("window.same = true")
    for position in (1, 2, 3):
        database.execute(STEP, ("done", number, position))
        steps.nth(position - 1).get_by_text("done").wait_for()
    cut(chromium)
    database.execute(STEP, ("done", number, 4))
    steps.nth(3).get_by_text("done").wait_for()
    assert page.evaluate("window.same")
    database.execute(ENDED, (number,))
    page.get_by_text("It is done.").wait_for()
    assert not page.evaluate("window.same")
    page.context.close()


def test_pasting_and_taking_the_keyboard(chromium: Chromium, site: Site) -> None:
    """By the button and by the keys; who looks on types once they have taken the keyboard."""
    first, second = chromium.page("alice"), chromium.page("alice")
    for page in (first, second):
        page.goto(f"https://{WEB}/machines/remus/console")
        shown(page, "remus")
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    first.evaluate("navigator.clipboard.writeText('echo pasted $((6*7))\\n')")
    first.get_by_role("button", name="Paste").click()
    shown(second, "pasted 42")
    first.evaluate("navigator.clipboard.writeText('echo by keys $((6*7))\\n')")
    first.locator("#terminal").click()
    first.keyboard.press("Control+Shift+V")
    shown(second, "by keys 42")
    second.get_by_role("button", name="Take the keyboard").click()
    shown(second, "bumped")
    second.keyboard.type("echo from $((1+1))nd\n")
    shown(first, "from 2nd")
    for page in (first, second):
        page.context.close()


@pytest.mark.parametrize(("size", "window"), [("desk", DESK), ("phone", PHONE)])
def test_a_look_by_a_link(chromium: Chromium, site: Site, size: str, window: dict[str, int]) -> None:
    """Shared in two clicks; a stranger sees the console, types nothing, and is told of the end."""
    owner, stranger = chromium.page("alice", window), chromium.page(size=window)
    owner.goto(f"https://{WEB}/machines/remus")
    owner.get_by_role("button", name="Share a look").click()
    link = owner.get_by_role("link", name=f"https://{WEB}/look/")
    address = link.get_attribute("href")
    picture(owner, f"shared-{size}")
    assert not barriers(owner)
    stranger.goto(f"https://{WEB}{address}")
    stranger.get_by_text("Connected.").wait_for()
    shown(stranger, "you look on")
    stranger.locator("#terminal").click()
    stranger.keyboard.type("echo by $((1+1)) strangers\n")
    assert not stranger.get_by_role("button", name="Paste").count()
    owner.goto(f"https://{WEB}/machines/remus/console")
    shown(owner, "remus")
    owner.keyboard.type(f"echo on {size}: $((6*7))\n")
    shown(stranger, f"on {size}: 42")
    assert not stranger.get_by_text("by 2 strangers").count()
    picture(stranger, f"look-{size}")
    assert not barriers(stranger)
    assert stranger.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    stranger.reload()
    shown(stranger, f"on {size}: 42")
    owner.goto(f"https://{WEB}/machines/remus")
    owner.get_by_role("button", name="End look").click()
    stranger.get_by_text("this link has ended").wait_for()
    stranger.reload()
    stranger.get_by_text("this link shows nothing any more").wait_for()
    for page in (owner, stranger):
        page.context.close()
