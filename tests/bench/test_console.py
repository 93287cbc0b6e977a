"""What the way to a console costs, against the same without it, in one run."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from invirt import config
from invirt.console import shell
from tests.bench.terminals import echoes, read_until, terminal
from tests.parts import postgres
from tests.parts.console import daemons, rows, unprotected
from tests.parts.console.site import SSH_PORT, Site, running
from tests.parts.realm import Realm

LOGIN, USABLE, STALL = 0.2, 2.0, 0.1  # seconds
PLAIN = 0.2  # seconds that a plain login takes on a machine that does nothing else
ROUNDS = 10
SESSIONS, MANY = 200, 10_000


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


def report(text: str) -> None:
    """A line for who reads the bench's output (pytest -s)."""
    print(f"console: {text}")


def test_login_to_first_byte(site: Site) -> None:
    """Against a plain sshd login, whose shell greets; up to the guest's own output."""
    took: dict[int, list[float]] = {unprotected.SSH_PORT: [], SSH_PORT: []}
    for _, port in itertools.product(range(ROUNDS), took):
        begun = time.monotonic()
        with terminal(site.ssh("alice", "remus", "-tt", port=port)) as end:
            read_until(end, rb"\$ |for help")
            took[port].append(time.monotonic() - begun)
    plain, ours = (statistics.median(times) for times in took.values())
    report(f"login {ours * 1000:.0f} ms, plain sshd {plain * 1000:.0f} ms: + {(ours - plain) * 1000:.0f} ms")
    assert ours - plain < LOGIN * plain / PLAIN  # on a busy machine both take longer


def test_a_new_machine_among_many(site: Site) -> None:
    """10,000 machines in the database, 20 of them on the host: the time until a new one can be typed to."""
    database = site.database
    database.execute(
        "INSERT INTO machines (name, owner_id, type_id, memory) SELECT 'm' || i, owner_id, type_id, 128"
        f" FROM generate_series(1, {MANY}) i, owners, types WHERE owners.name = 'alice'"
    )
    for number in range(3):
        name = f"new{number}"
        begun = time.monotonic()
        rows.machine(database, name)
        site.boot(name)
        with terminal(site.ssh("alice", name, "-tt")) as end:
            read_until(end, b"for help")
            echoes(end, 1)
        took = time.monotonic() - begun
        report(f"a new machine among {MANY} is typed to after {took:.2f} s")
        assert took < USABLE


@contextmanager
def sessions(site: Site, names: list[str]) -> Iterator[dict[str, int]]:
    """console(1) on each of the machines, as their logins run it."""
    clean = [f"{name}={value}" for name, value in shell.clean({}).items()]
    with ExitStack() as stack:
        ends = {}
        for name in names:
            argv = [*site.console.enter, "env", "-i", *clean, *shell.command(name, rows.HOST)]
            ends[name] = stack.enter_context(terminal(argv))
        for end in ends.values():
            read_until(end, b"for help", 60)
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
    limit = time.monotonic() + 60
    while len(children.read_text().split()) <= count:  # remus is there too
        assert time.monotonic() < limit
        time.sleep(0.1)
    return names


def stalls(ends: dict[str, int], work: Callable[[], None]) -> float:
    """The longest that an echo of any session took while work was done."""
    longest = 0.0
    work()
    limit = time.monotonic() + 5
    for name in itertools.cycle(ends):
        begun = time.monotonic()
        if begun > limit:
            return longest
        os.write(ends[name], b"y")
        read_until(ends[name], b"y")
        longest = max(longest, time.monotonic() - begun)
    return longest


def test_sessions_while_conserver_rereads(site: Site) -> None:
    names = crowd(site, SESSIONS)
    with sessions(site, names) as ends:
        quiet = stalls(ends, lambda: None)
        rows.machine(site.database, "late")
        busy = stalls(ends, lambda: site.boot("late"))
        report(
            f"{SESSIONS} sessions: longest echo {busy * 1000:.0f} ms while one comes, {quiet * 1000:.0f} else"
        )
        assert busy - quiet < STALL
        for end in ends.values():
            echoes(end, 1)  # none is lost
