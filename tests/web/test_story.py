"""A person who has never seen it makes a machine and uses it; an administrator sees the site."""

from __future__ import annotations

import re
from typing import Any

import pytest

from invirt.web import site
from tests.parts.remote.conftest import WEB
from tests.web.conftest import DESK, PHONE, Chromium, barriers, picture

SIZES = {"desk": DESK, "phone": PHONE}


def make(page: Any, name: str) -> None:
    """From the first page to a machine that is there."""
    page.get_by_role("link", name="New machine").first.click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Make it").click()
    page.get_by_text("It is done.").wait_for()
    page.get_by_role("link", name=f"To {name}").click()
    page.get_by_role("heading", name=name).wait_for()


def fits(page: Any) -> None:
    """Nothing is wider than the window."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(
    ("size", "script"), [("phone", False), pytest.param("desk", True, marks=pytest.mark.nightly)]
)
def test_a_machine_s_life(chromium: Chromium, size: str, script: bool) -> None:
    """Made, started, shut down and deleted, by what is seen alone; with scripts off it is the same."""
    page = chromium.page("alice", SIZES[size], java_script_enabled=script)
    name = f"{size}-{'with' if script else 'without'}"
    chromium.server.database.execute(
        "INSERT INTO host_signs (host_id) SELECT host_id FROM hosts ON CONFLICT (host_id)"
        " DO UPDATE SET strangers = 0"
    )
    make(page, name)
    page.get_by_role("button", name="Start").click()
    page.get_by_text("It is done.").wait_for()
    page.get_by_role("link", name=f"To {name}").click()
    page.get_by_role("button", name="Power off").click()
    page.get_by_text("It is done.").wait_for()
    page.get_by_role("link", name=f"To {name}").click()
    page.get_by_text("Delete it").click()
    page.get_by_label("Type its name").fill(name)
    page.get_by_role("button", name=f"Delete {name}").click()
    page.get_by_text("It is done.").wait_for()
    page.context.close()


@pytest.fixture(scope="module")
def filled(chromium: Chromium) -> str:
    """A machine with a history, and what it used in the last day."""
    page = chromium.page("alice")
    make(page, "remus")
    page.context.close()
    chromium.server.database.execute(
        "INSERT INTO usage_minutes (machine_id, host_id, begins, slots, used, drops)"
        " SELECT machine_id, hosts.host_id, date_trunc('hour', now(), 'UTC'),"
        " (SELECT array_agg(i) FROM generate_series(0, minute) i), (SELECT array_agg(v) FROM ("
        " SELECT unnest(ARRAY[(20000 + 15000 * sin(i / 4.0))::int, 90 + i, 3 * i, 5 * (60 - i), 9,"
        " (900 + 600 * cos(i / 6.0))::int, 400 + 7 * i, 50, 0, 0]) AS v"
        " FROM generate_series(0, minute) i) u),"
        " ARRAY[7] || array_fill(0, ARRAY[14]) FROM machines, hosts,"
        " (SELECT extract(minute FROM now())::int AS minute) n WHERE machines.name = 'remus'"
    )
    return "remus"


PAGES = {
    "mine": ("alice", "/"),
    "new": ("alice", "/new"),
    "machine": ("alice", "/machines/remus?of=hour"),
    "quotas": ("alice", "/quotas"),
    "keys": ("alice", "/keys"),
    "tokens": ("alice", "/tokens"),
    "help": ("alice", "/help"),
    "not-there": ("alice", "/machines/nothing"),
    **{f"site-{name}": ("carol", f"/site/{name}") for name in site.LISTS},
}


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ("desk", "light"),
        ("phone", "dark"),
        pytest.param("desk", "dark", marks=pytest.mark.nightly),
        pytest.param("phone", "light", marks=pytest.mark.nightly),
    ],
)
def test_pages_keep_nobody_out(chromium: Chromium, filled: str, size: str, scheme: str) -> None:
    """axe-core finds nothing, in light and in dark; no page is wider than the window."""
    windows = {user: chromium.page(user, SIZES[size]) for user in ("alice", "carol")}
    found: dict[str, list[str]] = {}
    for name, (user, path) in PAGES.items():
        page = windows[user]
        page.emulate_media(color_scheme=scheme)
        page.goto(f"https://{WEB}{path}")  # what is folded is coloured only when it is loaded
        picture(page, f"{name}-{size}-{scheme}")
        if wrong := barriers(page):
            found[name] = wrong
        fits(page)
    stranger = chromium.page(size=SIZES[size], color_scheme=scheme)
    picture(stranger, f"sign-on-{size}-{scheme}")
    if wrong := barriers(stranger):
        found["sign-on"] = wrong
    for page in (*windows.values(), stranger):
        page.context.close()
    assert not found


@pytest.mark.parametrize("size", ["phone", pytest.param("desk", marks=pytest.mark.nightly)])
def test_a_system_is_put_on_a_machine(chromium: Chromium, filled: str, size: str) -> None:
    """It is offered where it is looked for, and its password is said."""
    chromium.server.database.execute(
        "INSERT INTO autoinstalls (name, description, url, keyring, memory, disk)"
        " VALUES ('debian-12', 'Debian 12', 'http://install.invirt.test:8180/debian-12', 'key', 128, 1)"
        " ON CONFLICT DO NOTHING"
    )
    page = chromium.page("alice", SIZES[size])
    make(page, name := f"{size}-installed")
    page.get_by_text("Install a system on its disk").click()
    form = page.locator("form[action$='/install']")
    form.get_by_label("System").select_option("debian-12")
    form.get_by_label("Type its name").fill(name)
    picture(page, f"install-{size}")
    assert barriers(page) == []
    fits(page)
    form.get_by_role("button", name="Install").click()
    page.get_by_text("root's password").wait_for()
    picture(page, f"installing-{size}")
    assert barriers(page) == []
    page.context.close()


def test_by_keyboard_alone(chromium: Chromium) -> None:
    """Tab reaches each control of the first page, the way to the content first."""
    page = chromium.page("alice")
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert reached[0] == "To the content"
    assert {"My machines", "New machine", "Keys", "Help", "Sign off"} <= set(reached)
    page.context.close()


def test_nothing_is_refused_by_the_policy(chromium: Chromium, filled: str) -> None:
    """The browser complains of nothing: style and pictures come, and no script is wanted."""
    page = chromium.page("alice")
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"https://{WEB}/machines/remus")
    assert page.locator("svg[role=img]").count() == 4
    assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "1024px"
    assert not [line for line in said if re.search("policy|refused", line, re.IGNORECASE)]
    page.context.close()
