"""A host with eight machines, beside the same by hand: it is drained; it dies, and they are elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from invirt_lab import cluster, console
from invirt_lab.site import HOSTS, REALM
from tests.lab.faults import Make, places
from tests.lab.users import Lab, eventually
from tests.results import Result, best, keep

MANY, LIMIT = 8, 1.3
AT_ONCE = 2  # moves, as remote.drain_at_once has it
STAYS, DIES = HOSTS
QUIET = 8.0  # seconds until a host that has died is known to give no sign of life
QUOTA = "SELECT machines, memory, disk FROM owners WHERE name = 'alice'"
WIDER = "UPDATE owners SET (machines, memory, disk) = ({}) WHERE name = 'alice'"


@pytest.fixture
def machines(lab: Lab, machine: Make) -> Iterator[list[str]]:
    """Eight that are off, and bob is an administrator."""
    before = lab.sql(QUOTA).strip().replace("|", ", ")
    lab.sql(WIDER.format("20, 4096, 50"))
    lab.admin("administrator", "add", f"bob@{REALM}")
    yield [machine("--memory", "96") for _ in range(MANY)]
    if cluster.status()[DIES] == "down":
        cluster.boot(DIES)
        cluster.wait_booted(DIES)
    lab.admin("administrator", "remove", f"bob@{REALM}")
    lab.sql(WIDER.format(before))


def each(work: Callable[[str], object], names: Sequence[str], at_once: int = MANY) -> None:
    """For all, so many at once."""
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(work, names))


def seconds(work: Callable[[], object]) -> float:
    """That it takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def until_prompts(begin: Callable[[], object], names: Sequence[str]) -> float:
    """Seconds from the beginning to the last prompt."""

    def all_of_it() -> None:
        begin()
        eventually(
            lambda: all(name in cluster.on(STAYS, "xm", "list").stdout for name in names), "all to run"
        )
        each(console.wait_for_prompt, names)

    return seconds(all_of_it)


@pytest.mark.nightly
def test_eight_moves(lab: Lab, machines: list[str]) -> None:
    """All run on one host, are moved away by a drain, and back by hand."""

    def move(name: str) -> None:
        lab.remctl("bob", "admin", "machine", "migrate", name, DIES)

    def drained() -> None:
        lab.remctl("bob", "admin", "host", "drain", DIES)

    def ratio() -> float:
        ours = seconds(drained)
        assert all(places(lab, name) == [STAYS] for name in machines)
        lab.remctl("bob", "admin", "host", "rejoin", DIES)
        bare = seconds(lambda: each(move, machines, AT_ONCE))
        keep(Result(f"lab: a drain of {MANY}", ours, "s", bare=bare))
        return ours / bare

    lab.sql(f"UPDATE hosts SET enabled = (name = '{DIES}')")
    each(lambda name: lab.remctl("alice", "control", name, "create"), machines)
    lab.sql("UPDATE hosts SET enabled = true")
    best(f"lab: a drain of {MANY} machines, to moving them by hand", ratio, LIMIT)


@pytest.mark.nightly
def test_eight_prompts(lab: Lab, machines: list[str]) -> None:
    def boot(name: str) -> None:
        lab.remctl("alice", "control", name, "create")

    def end(name: str) -> None:
        lab.remctl("alice", "control", name, "destroy")

    def lost() -> float:
        lab.sql(f"UPDATE hosts SET enabled = (name = '{DIES}')")
        each(boot, machines)
        lab.sql("UPDATE hosts SET enabled = true")
        cluster.kill(DIES)
        time.sleep(QUIET)
        declare = ("admin", "host", "lost", DIES, "--confirm", "power-off")
        took = until_prompts(lambda: lab.remctl("bob", *declare), machines)
        each(end, machines)
        return took

    def by_hand() -> float:
        took = until_prompts(lambda: each(boot, machines), machines)
        each(end, machines)
        cluster.boot(DIES)
        cluster.wait_booted(DIES)
        again = ("admin", "host", "rejoin", DIES)
        eventually(lambda: lab.try_remctl("bob", *again).returncode == 0, f"{DIES} to rejoin")
        return took

    def ratio() -> float:
        ours, bare = lost(), by_hand()
        keep(Result(f"lab: {MANY} prompts, from the word that their host was lost", ours, "s", bare=bare))
        return ours / bare

    best(f"lab: {MANY} prompts of a host that was lost, to booting them by hand", ratio, LIMIT)
