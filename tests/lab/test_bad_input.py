"""What users get wrong: a clear message, an exit code, and nothing half done."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from invirt_lab.site import GATEWAY, GUESTS
from tests.lab.users import Lab

Make = Callable[..., str]
BAD_INPUT, NO_ROOM, BUSY = 2, 6, 5


@pytest.fixture(autouse=True)
def nothing_changes(lab: Lab, tidy: None) -> Iterator[None]:
    """After each test, the place is as it was before, by what the test did."""
    before = lab.world()
    yield
    assert lab.world() == before


def refused(lab: Lab, status: int, *words: str, user: str = "alice") -> str:
    """What the user is told; asserts the exit code, and that no traceback is shown."""
    done = lab.try_remctl(user, *words)
    assert done.returncode == status, done
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.strip()
    return done.stderr


NAMES = [
    "ALL",
    "EMPTY",
    "help",
    "root",
    "remus\nANYUSER",
    "../x",
    "a" * 64,
    "Remus",
    "rémus",
    "",
    "-x",
    "a b",
    "a.b",
]


def test_names(lab: Lab) -> None:
    for name in NAMES:
        refused(lab, BAD_INPUT, "machine", "create", name, "--memory", "128", "--disk", "1")


def test_names_to_rename_to(lab: Lab, machine: Make) -> None:
    own = machine()
    for name in ("ALL", "remus\nANYUSER", "host1", "a" * 64):
        refused(lab, BAD_INPUT, "machine", "rename", own, name)
    lab.remctl("alice", "machine", "delete", own, "--yes")


PRINCIPALS = [
    "bob smith@INVIRT.TEST",
    "bob\nANYUSER",
    "#bob@INVIRT.TEST",
    "princ:bob@INVIRT.TEST",
    "",
]


def test_principals(lab: Lab, machine: Make) -> None:
    own = machine()
    for principal in PRINCIPALS:
        refused(lab, BAD_INPUT, "machine", "allow", own, principal)
    lab.remctl("alice", "machine", "delete", own, "--yes")


SIZES = ["0", "-1", "99999999999999999999", "many", "1.5", "1e3", "", "128\n"]


@pytest.mark.parametrize("option", ["--memory", "--disk", "--cpus"])
def test_sizes(lab: Lab, option: str) -> None:
    for size in SIZES:
        sizes = {"--memory": "128", "--disk": "1", "--cpus": "1"} | {option: size}
        words = [word for pair in sizes.items() for word in pair]
        refused(lab, BAD_INPUT, "machine", "create", "remus", *words)


def test_a_name_that_is_taken(lab: Lab, machine: Make) -> None:
    own = machine()
    told = refused(lab, BAD_INPUT, "machine", "create", own, "--memory", "128", "--disk", "1", user="bob")
    assert own in told
    lab.remctl("alice", "machine", "delete", own, "--yes")


def test_unknown_words(lab: Lab) -> None:
    refused(lab, BAD_INPUT, "machine", "explode")
    refused(
        lab, BAD_INPUT, "machine", "create", "remus", "--type", "nosuch", "--memory", "128", "--disk", "1"
    )


@pytest.mark.parametrize(("option", "size"), [("--memory", "4096"), ("--disk", "51")])
def test_quota_used_up(lab: Lab, option: str, size: str) -> None:
    sizes = {"--memory": "128", "--disk": "1"} | {option: size}
    words = [word for pair in sizes.items() for word in pair]
    told = refused(lab, NO_ROOM, "machine", "create", "remus", *words)
    assert "the quota of alice is" in told


def test_addresses_used_up(lab: Lab) -> None:
    lab.admin("range", "remove", *GUESTS)
    try:
        told = refused(lab, NO_ROOM, "machine", "create", "remus", "--memory", "128", "--disk", "1")
        assert "address" in told
    finally:
        lab.admin("range", "add", *GUESTS, "--prefix", "24", "--gateway", GATEWAY)


def test_no_host_with_room_says_which_lacks_what(lab: Lab, machine: Make) -> None:
    own = machine("--memory", "1100")
    told = refused(lab, NO_ROOM, "control", own, "create")
    assert "host1" in told
    assert "host2" in told
    assert "1024" in told
    lab.remctl("alice", "machine", "delete", own, "--yes")


def test_second_boot(lab: Lab, machine: Make) -> None:
    own = machine()
    lab.remctl("alice", "control", own, "create")
    running = lab.world()
    told = refused(lab, BUSY, "control", own, "create")
    assert "run" in told
    assert lab.world() == running
    lab.remctl("alice", "control", own, "destroy")
    lab.remctl("alice", "machine", "delete", own, "--yes")
