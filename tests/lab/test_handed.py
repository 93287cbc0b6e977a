"""Who has lost a machine is out at every door: it is another owner's, or they left the group that has it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pexpect
import pytest

from invirt_lab import console, pages
from invirt_lab.browser import Browser
from invirt_lab.site import REALM
from tests.lab import terminals
from tests.lab.users import Lab

pytestmark = pytest.mark.nightly
NAME, GROUP = "handed", "robotics"
ALICE = f"alice@{REALM}"
SOON = 60  # seconds until a session ends, which is looked at every ten


@pytest.fixture
def mine(lab: Lab) -> Iterator[None]:
    """alice's own machine, offered to bob."""
    lab.remctl("alice", "machine", "create", NAME, "--memory", "128M", "--disk", "1G")
    lab.remctl("alice", "machine", "set", NAME, "--owner", "bob")
    yield
    lab.remove(NAME, "bob")


@pytest.fixture
def ours(lab: Lab) -> Iterator[None]:
    """The machine of bob's group, in which alice is."""
    lab.remctl("bob", "machine", "group", "create", GROUP)
    lab.remctl("bob", "machine", "group", "add", GROUP, ALICE)
    own = ("--owner", f"group:{GROUP}")
    lab.remctl("bob", "machine", "create", NAME, *own, "--memory", "128M", "--disk", "1G")
    yield
    lab.remove(NAME, "bob")
    lab.remctl("bob", "machine", "group", "delete", GROUP)


WAYS = {"mine": ("accept", NAME), "ours": ("group", "remove", GROUP, ALICE)}


@pytest.fixture
def alice() -> Browser:
    return pages.browser("alice")


@pytest.fixture
def listed(lab: Lab, alice: Browser) -> Iterator[Callable[[], bool]]:
    """Whether a program with alice's token is told of the machine."""
    made = alice.send("/tokens", "/tokens/add", name=NAME, days="1")
    token = made.text.partition("shown this once.</p><p><code>")[2].partition("</code>")[0]
    argv = ("curl", "-sS", "-H", f"Authorization: Bearer {token}", f"{pages.HOME}/api/1/machines")

    def told() -> bool:
        found = json.loads(lab.on("client", *argv).stdout)
        return NAME in [one["name"] for one in found["items"]]

    yield told
    lab.remctl("alice", "machine", "token", "remove", NAME)


def may(lab: Lab, user: str) -> bool:
    return lab.try_remctl(user, "control", NAME, "status").returncode == 0


@pytest.mark.parametrize("before", WAYS)
def test_who_has_lost_it_is_out(
    lab: Lab,
    request: pytest.FixtureRequest,
    alice: Browser,
    listed: Callable[[], bool],
    before: str,
) -> None:
    """By the next call, page, token and login; and the console at which they are is taken from them."""
    request.getfixturevalue(before)
    lab.remctl("alice", "control", NAME, "create")
    console.wait_for_prompt(NAME)
    with terminals.closing(terminals.ssh("alice", NAME)) as session:
        terminals.prompt(session)
        assert may(lab, "alice") and alice.ask(f"/machines/{NAME}").status == 200 and listed()
        lab.remctl("bob", "machine", *WAYS[before])
        assert not may(lab, "alice") and alice.ask(f"/machines/{NAME}").status == 404 and not listed()
        with terminals.closing(terminals.ssh("alice", NAME)) as another:
            another.expect_exact("Permission denied")
        session.expect("you may not use the console", timeout=SOON)
        session.expect(pexpect.EOF)
    assert may(lab, "bob")
    with terminals.closing(terminals.ssh("bob", NAME)) as his:
        terminals.prompt(his)
