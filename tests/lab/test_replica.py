"""The database outlives its server: what was acknowledged is kept, doors are back, consoles notice nothing.

The server that has it dies under load; the copy is promoted; the first one wakes, is refused and
becomes a copy.  At last all goes back in order.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pexpect
import pytest

from invirt.base.errors import InvirtError
from invirt_lab import cluster, console, pages
from invirt_lab.site import DOMAIN, SERVERS
from tests.lab import copies, terminals
from tests.lab.copies import FIRST, SECOND
from tests.lab.echoes import Echo, echoes
from tests.lab.load import SIZE, load
from tests.lab.users import Lab, eventually
from tests.results import Result, keep

pytestmark = pytest.mark.nightly
Make = Callable[..., str]
LOADED = 4.0  # seconds of load before and after
BACK, LATE = 10.0, 60.0  # seconds: what is wanted of doors, and what no slow machine needs
STOPS = 2.0  # seconds: what is wanted of one that wakes
SESSIONS = "SELECT DISTINCT usename FROM pg_stat_activity WHERE usename LIKE 'invirt\\_%.%'"
SEEN = "SELECT min(seen_at) > now() - interval '4 seconds' FROM host_signs"
NUMBERS = itertools.count()
ASK_DHCP = "udhcpc -i eth0 -n -q -t 20 -T 2 -s /etc/udhcpc >/dev/null 2>&1 && echo lea''sed"


@pytest.fixture(scope="module")
def pair(lab: Lab) -> Iterator[None]:
    """Two servers of the database."""
    with copies.pair(lab):
        yield


@pytest.fixture
def guests(lab: Lab, pair: None, machine: Make) -> Iterator[list[str]]:
    """Three machines of alice's that run; she may have more."""
    names = [machine() for _ in range(3)]
    for name in names:
        lab.remctl("alice", "control", name, "create")
        console.wait_for_prompt(name)
    before = lab.sql("SELECT machines, disk FROM owners WHERE name = 'alice'").strip().replace("|", ", ")
    lab.sql("UPDATE owners SET machines = 1000, disk = 1000 WHERE name = 'alice'")
    yield names
    lab.sql(f"UPDATE owners SET (machines, disk) = ({before}) WHERE name = 'alice'")


def doors(lab: Lab, guest: str) -> dict[str, Callable[[], bool]]:
    """Each says whether somebody who comes anew is served there."""
    browser = pages.browser("alice")
    dig = ("dig", "+short", "+time=1", "+tries=1", f"{guest}.{DOMAIN}")

    def login() -> bool:
        with terminals.closing(terminals.ssh("alice", guest)) as terminal:
            return terminal.expect_exact(["for help", pexpect.EOF], timeout=10) == 0

    return {
        "remctl": lambda: "running" in lab.remctl("alice", "control", guest, "status", timeout=20),
        "the console": login,
        "the page": lambda: guest in browser.ask("/").text,
        "DNS": lambda: cluster.on("client", *dig).stdout.startswith("10."),
        "DHCP": lambda: "leased" in console.ask(guest, ASK_DHCP, timeout=60),
        "a new machine": lambda: (
            lab.try_remctl("alice", "machine", "create", f"new-{next(NUMBERS)}", *SIZE, timeout=20).returncode
            == 0
        ),
        "hosts' word": lambda: lab.sql(SEEN) == "t\n",
    }


def is_back(what: str, door: Callable[[], bool], since: float) -> float:
    """Seconds until the door is open again."""

    def opens() -> bool:
        with suppress(AssertionError, InvirtError, OSError, pexpect.ExceptionPexpect):
            return door()
        return False

    eventually(opens, f"{what} to be back", LATE)
    return time.monotonic() - since


def all_back(opening: dict[str, Callable[[], bool]], how: str) -> None:
    """Side by side, as people would try them."""
    since = time.monotonic()
    with ThreadPoolExecutor(len(opening)) as pool:
        tried = {what: pool.submit(is_back, what, door, since) for what, door in opening.items()}
    for what, done in tried.items():
        keep(Result(f"lab: {how}, {what} is back", done.result(), "s", BACK))


def wakes_and_is_refused(how: str) -> None:
    """The old one is there again; whoever writes there is told of nothing that was done."""
    if how == "frozen":
        copies.freeze(FIRST, stop=False)
        since = time.monotonic()
        assert copies.refused(FIRST) == ""
        keep(Result("lab: a primary that wakes is stopped", time.monotonic() - since, "s", STOPS))
    else:
        cluster.boot(FIRST)
        cluster.wait_booted(FIRST)
        assert copies.refused(FIRST) == ""


def went_on(typed: list[Echo]) -> None:
    """Nobody who types has been cut off; the longest wait for an echo is shown."""
    for echo, where in zip(typed, ("by ssh", "on a page"), strict=True):
        assert not echo.broken, (where, echo.broken)
        words = echo.words
        eventually(lambda echo=echo, words=words: echo.words > words, f"an echo {where}")
        keep(Result(f"lab: the longest wait for an echo {where}", echo.worst, "s", 5))


@pytest.mark.parametrize("how", ["killed"])
def test_the_database_s_server_is_lost(lab: Lab, guests: list[str], how: str) -> None:
    opening = doors(lab, guests[2])
    before = set(lab.sql(SESSIONS).split())
    with echoes(*guests[:2]) as typed:
        with load(lab) as loaded:
            time.sleep(LOADED)
            if how == "killed":
                cluster.kill(FIRST)
            else:
                copies.freeze(FIRST, stop=True)
            copies.promote(lab, SECOND, "--lost", SERVERS[FIRST].fqdn)
            all_back(opening, f"{how} and promoted")
            time.sleep(LOADED)
        eventually(lambda: before <= set(lab.sql(SESSIONS).split()), f"all of {before} to have found it")
        kept_is_kept(lab, loaded.kept)
        wakes_and_is_refused(how)
        copies.make("--yes", on=FIRST)
        copies.promote(lab, FIRST)
        all_back(opening, "handed back")
        copies.make("--yes")
        copies.follows(FIRST, SECOND)
        went_on(typed)


def kept_is_kept(lab: Lab, kept: dict[str, bool]) -> None:
    """Each word that was acknowledged is true."""
    there = {True, False} <= set(kept.values())
    assert there, kept
    eventually(lambda: {name: name in lab.machines() for name in kept} == kept, f"all of {kept} to be so")
    keep(Result("lab: acknowledged words that are kept", len(kept), ""))
