"""What the way to a console costs, against the same without it, in one run."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from invirt import config
from tests.bench.terminals import echoes, read_until, terminal
from tests.parts import postgres
from tests.parts.console import daemons, rows, unprotected
from tests.parts.console.site import SSH_PORT, Site, running
from tests.parts.owned import machine
from tests.parts.realm import Realm
from tests.results import beside, quickest

LOGIN, USABLE, STALL = 3.0, 3.0, 5.0  # times as long as the bare thing
ROUNDS = 3
SESSIONS, MANY, OWNERS, HERE = 200, 10_000, 100, 20
AT_ONCE = 8  # logins: sshd drops some of more than ten that have yet to say who they are
COMING, WATCHED = 4, 3.0  # machines that come meanwhile; seconds


@pytest.fixture
def site(cluster: postgres.Cluster, realm: Realm, tmp_path: Path) -> Iterator[Site]:
    """A console server, a host, and a sshd whose logins have an ordinary shell."""
    with postgres.fresh(cluster, tmp_path) as database:
        rows.settings(database)
        rows.fill(database)
        config.reload()
        with running(database, realm, tmp_path / "site") as made:
            daemons.start_logins(made)
            daemons.start_consoles(made)
            unprotected.start_sshd(made)
            made.boot("remus")
            yield made


def test_login_to_first_byte(site: Site) -> None:
    """Against a plain sshd login, whose shell greets; up to what conserver says first."""

    def login(port: int) -> float:
        """Seconds of one, the median."""
        took = []
        for _ in range(ROUNDS):
            begun = time.monotonic()
            with terminal(site.ssh("alice", "remus", "-tt", port=port)) as end:
                read_until(end, rb"\$ |for help")
                took.append(time.monotonic() - begun)
        return statistics.median(took)

    beside("a login to a console", lambda: login(SSH_PORT), lambda: login(unprotected.SSH_PORT), LOGIN)


def test_a_new_machine_among_many(site: Site) -> None:
    """From its row until it can be typed to, over ssh; beside a machine that was there before."""
    database = site.database
    database.execute(
        "INSERT INTO owners (name, memory, disk, machines)"
        f" SELECT 'o' || i, 4000000, 100, 1000 FROM generate_series(0, {OWNERS - 1}) i"
    )
    database.execute(
        "INSERT INTO machines (name, owner_id, type_id, memory) SELECT 'off' || i, owner_id, type_id, 128"
        f" FROM types, generate_series(1, {MANY}) i JOIN owners ON owners.name = 'o' || i % {OWNERS}"
    )
    crowd(site, HERE)
    numbers = itertools.count()

    def typed(name: str) -> None:
        with terminal(site.ssh("alice", name, "-tt")) as end:
            read_until(end, b"for help")
            echoes(end, 1)

    def new() -> None:
        name = f"new{next(numbers)}"
        machine(database, name)
        site.boot(name)
        typed(name)

    beside(
        f"a new machine's console, {MANY} machines there",
        lambda: quickest(new, 1),
        lambda: quickest(lambda: typed("remus"), 1),
        USABLE,
    )


@contextmanager
def sessions(site: Site, names: list[str]) -> Iterator[dict[str, int]]:
    """Each of the machines' consoles, by a ssh of its own."""
    with ExitStack() as stack:
        ends: dict[str, int] = {}
        for first in range(0, len(names), AT_ONCE):
            new = {
                name: stack.enter_context(terminal(site.ssh("alice", name, "-tt")))
                for name in names[first : first + AT_ONCE]
            }
            for end in new.values():
                read_until(end, b"for help", 60)
            ends |= new
        yield ends


def crowd(site: Site, count: int) -> list[str]:
    """So many machines that run on the host, known to its conserver."""
    names = [f"m{number}" for number in range(1, count + 1)]
    site.host.run("sh", "-c", 'for name; do touch "/run/guests/d_$name"; done', "sh", *names)
    site.database.execute(
        "INSERT INTO machines (name, owner_id, type_id, memory, host_id)"
        " SELECT unnest(%s), owner_id, type_id, 128, host_id FROM owners, types, hosts"
        " WHERE owners.name = 'alice'",
        (names,),
    )
    conserver = int(site.host.run("cat", "/run/conserver/conserver.pid").stdout)
    children = Path(f"/proc/{conserver}/task/{conserver}/children")
    limit = time.monotonic() + 180
    while len(children.read_text().split()) <= count:  # remus is there too
        assert time.monotonic() < limit
        time.sleep(0.1)
    return names


def longest(ends: dict[str, int], meanwhile: Callable[[], None]) -> float:
    """The longest that an echo took, of one session after the other, while something was done."""
    took, limit = 0.0, time.monotonic() + WATCHED
    with ThreadPoolExecutor() as other:
        done = other.submit(meanwhile)
        for name in itertools.cycle(ends):
            begun = time.monotonic()
            if begun > limit and done.done():
                done.result()
                return took
            os.write(ends[name], b"y")
            read_until(ends[name], b"y")
            took = max(took, time.monotonic() - begun)
    raise AssertionError("no sessions")


@pytest.mark.nightly
def test_sessions_while_machines_come_and_go(site: Site) -> None:
    """Each that comes or goes lets conserver reread its list."""
    names = crowd(site, SESSIONS)
    numbers = itertools.count()

    def come_and_go() -> None:
        for _ in range(COMING):
            name = f"late{next(numbers)}"
            machine(site.database, name)
            site.boot(name)
            time.sleep(WATCHED / COMING / 2)
            site.halt(name)

    with sessions(site, names) as ends:
        beside(
            f"longest echo of {SESSIONS} sessions, machines coming and going",
            lambda: longest(ends, come_and_go),
            lambda: longest(ends, lambda: None),
            STALL,
        )
        for end in ends.values():
            echoes(end, 1)  # none is lost
