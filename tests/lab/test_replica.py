"""The database outlives its server: what was acknowledged is kept, doors are back, consoles notice nothing.

The server that has it dies, freezes or is cut off, under load; a copy is promoted; the first one wakes, is
refused and becomes a copy.  At last all goes back in order.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pexpect
import pytest

from invirt.base.errors import InvirtError
from invirt_lab import cluster, console, pages
from invirt_lab.site import DOMAIN, SERVERS
from tests.lab import copies, terminals
from tests.lab.copies import FIRST, SECOND, THIRD
from tests.lab.echoes import Echo, echoes, pings
from tests.lab.load import SIZE, load
from tests.lab.users import Lab, eventually
from tests.results import Result, keep

pytestmark = pytest.mark.nightly
Make = Callable[..., str]
LOADED = 4.0  # seconds of load before and after
BACK = 10.0  # seconds: doors are open again, after the promotion
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
    """Three machines of alice's that run; she may have more.  At last the first server has the database."""
    names = [machine() for _ in range(3)]
    for name in names:
        lab.remctl("alice", "control", name, "create")
        console.wait_for_prompt(name)
    before = lab.sql("SELECT machines, disk FROM owners WHERE name = 'alice'").strip().replace("|", ", ")
    lab.sql("UPDATE owners SET machines = 1000, disk = 1000 WHERE name = 'alice'")
    yield names
    copies.hand_back(lab)
    lab.sql(f"UPDATE owners SET (machines, disk) = ({before}) WHERE name = 'alice'")


def doors(lab: Lab, guest: str) -> dict[str, Callable[[], bool]]:
    """Each says whether somebody who comes anew is served there."""
    browser = pages.browser("alice")
    dig = ("dig", "+short", "+time=1", "+tries=1", f"{guest}.{DOMAIN}")

    def login() -> bool:
        """Who is refused isn't asked for a password, and comes again."""
        with terminals.closing(terminals.ssh("alice", guest, "-o", "BatchMode=yes")) as terminal:
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

    eventually(opens, f"{what} to be back", 6 * BACK)
    return time.monotonic() - since


def all_back(opening: dict[str, Callable[[], bool]], how: str) -> None:
    """Side by side, as people would try them."""
    since = time.monotonic()
    with ThreadPoolExecutor(len(opening)) as pool:
        tried = {what: pool.submit(is_back, what, door, since) for what, door in opening.items()}
    took = {what: done.result() for what, done in tried.items()}
    for what, seconds in took.items():
        keep(Result(f"lab: {how}, {what} is back", seconds, "s", BACK))
    print(f"{how}, doors are back after {took}")
    assert not {what for what, seconds in took.items() if seconds > BACK}


class Loss:
    """The first server as it is lost, in one of these ways; what lasts is over when it wakes."""

    def __init__(self, how: str) -> None:
        self.how, self.lasts = how, ExitStack()

    def happens(self) -> None:
        """Now."""
        if self.how == "killed":
            cluster.kill(FIRST)
        elif self.how == "frozen":
            copies.freeze(FIRST, stop=True)
        else:
            self.lasts.enter_context(cluster.cut_off(FIRST))

    def wakes(self) -> None:
        """It is there again; whoever writes there is told of nothing that was done, and it stops."""
        since = time.monotonic()
        self.lasts.close()
        if self.how == "killed":
            cluster.boot(FIRST)
            cluster.wait_booted(FIRST)
        elif self.how == "frozen":
            copies.freeze(FIRST, stop=False)
        assert copies.refused(FIRST) == ""
        if self.how != "killed":
            seconds = time.monotonic() - since
            keep(Result(f"lab: a primary that was {self.how} is stopped", seconds, "s", STOPS))
            assert seconds < BACK


@contextmanager
def lost(how: str) -> Iterator[Loss]:
    """How it is to be lost; whatever becomes of the block, it doesn't last."""
    loss = Loss(how)
    try:
        yield loss
    finally:
        loss.lasts.close()
        copies.freeze(FIRST, stop=False)


@contextmanager
def unnoticed(guests: list[str]) -> Iterator[None]:
    """Two type at guests' consoles, and one is pinged: nobody notices anything of the block."""
    address = cluster.on("client", "dig", "+short", f"{guests[0]}.{DOMAIN}").stdout.strip()
    with pings(address) as pinged, echoes(*guests[:2]) as typed:
        yield
        went_on(typed)
    lost = pinged.sent - pinged.answered
    keep(Result("lab: pings that a guest lost while its database did", lost, ""))
    assert pinged.sent and not lost


def went_on(typed: list[Echo]) -> None:
    """Nobody who types has been cut off; the longest wait for an echo is shown."""
    for echo, where in zip(typed, ("by ssh", "on a page"), strict=True):
        assert not echo.broken, (where, echo.broken)
        words = echo.words
        eventually(lambda echo=echo, words=words: echo.words > words, f"an echo {where}")
        keep(Result(f"lab: the longest wait for an echo {where}", echo.worst, "s", 5))


def kept_is_kept(lab: Lab, kept: dict[str, bool]) -> None:
    """Each word that was acknowledged is true."""
    there = {True, False} <= set(kept.values())
    assert there, kept
    eventually(lambda: {name: name in lab.machines() for name in kept} == kept, f"all of {kept} to be so")
    keep(Result("lab: acknowledged words that are kept", len(kept), ""))


@pytest.mark.parametrize("how", ["killed", "frozen", "cut off"])
def test_the_database_s_server_is_lost(lab: Lab, guests: list[str], how: str) -> None:
    opening = doors(lab, guests[2])
    before = set(lab.sql(SESSIONS).split())
    with unnoticed(guests), lost(how) as loss:
        with load(lab) as loaded:
            time.sleep(LOADED)
            loss.happens()
            copies.promote(lab, SECOND, "--lost", SERVERS[FIRST].fqdn)
            all_back(opening, f"{how} and promoted")
            time.sleep(LOADED)
        eventually(lambda: before <= set(lab.sql(SESSIONS).split()), f"all of {before} to have found it")
        kept_is_kept(lab, loaded.kept)
        loss.wakes()
        copies.make("--yes", on=FIRST)
        copies.promote(lab, FIRST)
        all_back(opening, "handed back")


def test_the_other_runs_and_stops_first(lab: Lab, guests: list[str]) -> None:
    """In order, under load, and back again."""
    opening = doors(lab, guests[2])
    with unnoticed(guests):
        with load(lab) as loaded:
            time.sleep(LOADED)
            copies.promote(lab, SECOND)
            all_back(opening, "handed over")
            time.sleep(LOADED)
        kept_is_kept(lab, loaded.kept)
        assert copies.refused(FIRST) == ""


@pytest.fixture
def third(lab: Lab, pair: None) -> Iterator[None]:
    """Three servers of the database."""
    with copies.third(lab):
        yield


def test_of_three_one_is_promoted_and_the_other_follows(lab: Lab, guests: list[str], third: None) -> None:
    """What is acknowledged afterwards is on the one that is left, too."""
    opening = doors(lab, guests[2])
    with unnoticed(guests), lost("killed") as loss:
        with load(lab) as loaded:
            time.sleep(LOADED)
            loss.happens()
            copies.promote(lab, SECOND, "--lost", SERVERS[FIRST].fqdn)
            all_back(opening, "one of three killed and another promoted")
            copies.follows(SECOND, THIRD)
            time.sleep(LOADED)
        kept_is_kept(lab, loaded.kept)
        loss.wakes()
        copies.make("--yes", on=FIRST)
        copies.follows(SECOND, FIRST)
