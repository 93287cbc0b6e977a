"""How soon eight machines of a host that died are back, beside booting them by hand on the same host."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from invirt_lab import cluster, console
from invirt_lab.site import HOSTS, REALM
from tests.lab.faults import Make
from tests.lab.users import Lab, eventually
from tests.results import Result, best, keep

MANY, LIMIT = 8, 1.3
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
    yield [machine("--memory", "64") for _ in range(MANY)]
    lab.admin("administrator", "remove", f"bob@{REALM}")
    lab.sql(WIDER.format(before))


def each(work: Callable[[str], object], names: Sequence[str]) -> None:
    """For all at once."""
    with ThreadPoolExecutor(MANY) as pool:
        list(pool.map(work, names))


def until_prompts(begin: Callable[[], object], names: Sequence[str]) -> float:
    """Seconds from the beginning to the last prompt."""
    began = time.monotonic()
    begin()
    eventually(lambda: all(name in cluster.on(STAYS, "xm", "list").stdout for name in names), "all to run")
    each(console.wait_for_prompt, names)
    return time.monotonic() - began


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
