"""Killed, cut off or failing at every point of every operation, then recovered.

The points are counted from a run in which all goes well: before and after
each transaction, and before and after each command to a host.  At each of
them, in a run of its own: the requester dies (1), the network goes: the
command or its answer is lost, or the command comes late (2), the host's side
fails (3).  Then the service's work is done, and all must be as the rows say,
and the user's retry must bring what was wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest

from invirt.base.errors import CommandFailed, InvirtError, Unreachable
from invirt.database import connection
from invirt.remote.hosts import NoAnswer
from invirt.remote.operations import KINDS, engine, recovery, submit
from tests.parts.operations.conftest import HOST1, HOST2, OWN_POOL, POINTS, Site, actor
from tests.parts.operations.fakedisks import FakePool
from tests.parts.operations.fakehosts import Killed, no_fault

Wants = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """An operation, what comes before it, and how to see that it has been done."""

    kind: str
    wants: Wants
    before: tuple[tuple[str, Wants], ...]
    goal: Callable[[Site, str], bool]


SMALL: Wants = {"memory": 64, "disk": 1}
OWN: Wants = {"pool": "own"}  # which the second host alone sees; the first disk lies where both see it
MADE: tuple[tuple[str, Wants], ...] = (("create", SMALL), ("disk-create", {"disk": "hdb", "size": 2, **OWN}))
GONE = (*MADE, ("delete", {}))
LAST: Wants = {"trash": "last"}  # what went to the trash last
UP: tuple[tuple[str, Wants], ...] = (("create", SMALL), ("boot", {}))


def _home(site: Site, name: str) -> str | None:
    return site.homes().get(name)


def _sizes(site: Site, name: str) -> dict[str, int]:
    return {disk: size for (_, machine, disk), size in site.hosts.all_volumes().items() if machine == name}


def _is_copied(site: Site, name: str) -> bool:
    """It runs on the first host, which sees nothing of the pool that its second disk was in."""
    [(held,)] = site.rows("SELECT count(*) FROM disks WHERE pool_id = first_pool()")
    return _home(site, name) == HOST1 and held == 2


def _has_system(site: Site, name: str) -> bool:
    return site.rows("SELECT 1 FROM machines WHERE name = %s AND installed_at IS NOT NULL", name) != []


def _in_rescue(site: Site, name: str) -> bool:
    asked = "SELECT 1 FROM reservations JOIN machines USING (machine_id) WHERE name = %s AND rescue"
    return site.rows(asked, name) != []


CASES = (
    Case("create", SMALL, (), lambda site, name: name in site.homes()),
    Case("boot", {}, MADE, lambda site, name: _home(site, name) is not None),
    Case("shutdown", {}, UP, lambda site, name: _home(site, name) is None),
    Case("destroy", {}, UP, lambda site, name: _home(site, name) is None),
    Case("reboot", {}, UP, lambda site, name: _home(site, name) is not None),
    Case("migrate", {}, UP, lambda site, name: _home(site, name) == HOST2),
    Case("cold-migrate", {"host": "host1"}, (*MADE, ("boot", {})), _is_copied),
    Case("rescue", {}, MADE, lambda site, name: _home(site, name) is not None and _in_rescue(site, name)),
    Case("reboot", {}, (*MADE, ("rescue", {})),
         lambda site, name: _home(site, name) is not None and not _in_rescue(site, name)),
    Case("eject", {}, UP, lambda site, name: _home(site, name) is not None),
    Case("install", {"autoinstall": "debian-12"}, MADE,
         lambda site, name: _home(site, name) is not None and _has_system(site, name)),
    Case("delete", {}, MADE, lambda site, name: name not in site.homes()),
    Case("rename", {"name": "{}-new"}, MADE, lambda site, name: f"{name}-new" in site.homes()),
    Case("resize", {"memory": 65, "cpus": 2, "disks": {"hda": 3, "hdb": 4}}, MADE,
         lambda site, name: _sizes(site, name) == {"hda": 3, "hdb": 4}),
    Case("undelete", LAST, GONE, lambda site, name: _sizes(site, name) == {"hda": 1, "hdb": 2}),
    Case("disk-undelete", LAST, (*MADE, ("disk-remove", {"disk": "hdb"})),
         lambda site, name: "hdb" in _sizes(site, name)),
    Case("purge", LAST, GONE, lambda site, name: not site.rows("SELECT trash_id FROM trash")),
    Case("disk-create", {"disk": "hdc", "size": 1, **OWN}, MADE,
         lambda site, name: "hdc" in _sizes(site, name)),
    Case("disk-remove", {"disk": "hdb"}, MADE, lambda site, name: "hdb" not in _sizes(site, name)),
    Case("disk-resize", {"disk": "hdb", "size": 5}, MADE, lambda site, name: _sizes(site, name)["hdb"] == 5),
    Case("disk-rename", {"disk": "hdb", "name": "hdz"}, MADE, lambda site, name: "hdz" in _sizes(site, name)),
)  # fmt: skip


def nightly_but(*kinds: str) -> list[Any]:
    """All cases, of which these do for every day."""
    return [
        pytest.param(case, id=case.kind, marks=() if case.kind in kinds else pytest.mark.nightly)
        for case in CASES
    ]


MOST = nightly_but("create", "boot", "migrate")  # disks, a guest, a pivot
# Those which have all the steps that there are; one that has a pivot does for every day.
WHOLE = [
    case
    for case in nightly_but("migrate")
    if case.id
    in ("create", "boot", "destroy", "migrate", "install", "delete", "rename", "resize", "undelete", "purge")
]

TROUBLES = (
    ("host down", "before"),
    ("host down", "after"),
    ("answer lost", "before"),
    ("answer lost", "after"),
    ("comes late", "before"),
    ("fails", "before"),
    ("fails", "after"),
)


class Mortal(connection.Connection):
    """A connection whose user dies before or after the commit of a certain transaction."""

    die: tuple[int, str] | None = None
    commits = 0

    def __exit__(self, *why: Any) -> None:
        self.commits += 1
        if self.die == (self.commits, "before"):
            super().__exit__(Killed, Killed(), None)
            raise Killed
        super().__exit__(*why)
        if self.die == (self.commits, "after"):
            raise Killed


def mortal() -> Mortal:
    """As connection.connect() makes them."""
    made = psycopg2.connect(connection_factory=Mortal, **connection.settings())
    assert isinstance(made, Mortal)
    return made


class Trouble:
    """A fault at the nth command, before or after it is done: from then on, or once."""

    def __init__(self, site: Site, at: int, when: str, what: str) -> None:
        self.site, self.at, self.when, self.what = site, at, when, what
        self.calls = 0

    def __call__(self, when: str, hostname: str, words: tuple[str, ...]) -> None:
        self.calls += when == "before"
        if (self.calls, when) != (self.at, self.when):
            return
        if self.what == "killed":
            raise Killed
        if self.what == "host down":
            self.site.hosts.hosts[hostname].up = False
            raise NoAnswer(hostname) if when == "after" else Unreachable(hostname)
        if self.what == "answer lost":
            raise NoAnswer(hostname)
        if self.what == "comes late" and when == "before":
            raise self.site.hosts.lose(hostname, words)
        raise CommandFailed(f"{hostname} failed")


def prepare(site: Site, case: Case, name: str) -> Wants:
    """What has to be there first; returns the arguments of the case for this name."""
    for kind, wants in case.before:
        site.submit(kind, name, **wants)
    if case.wants == LAST:
        return {"trash": site.trashed()}
    return {key: value.format(name) if isinstance(value, str) else value for key, value in case.wants.items()}


def attempt(site: Site, case: Case, name: str, wants: Wants, connected: connection.Connection) -> bool:
    """Submit it; whether it was done."""
    try:
        submit(case.kind, actor(case.kind), name, wants, hosts=site.hosts, connection=connected)
    except (InvirtError, Killed):
        return False
    return True


def recover(site: Site) -> None:
    """The hosts are back, late commands come before, between and after the service's turns."""
    site.hosts.fault = no_fault
    for host in site.hosts.hosts.values():
        host.up = True
    site.recover()
    site.hosts.deliver()
    site.recover()


def finish(site: Site, case: Case, name: str, wants: Wants) -> None:
    """After recovery: nothing is between two states; the user's retry works; then it is cleared away."""
    site.check()
    if not case.goal(site, name) or case.kind == "reboot":
        site.submit(case.kind, name, **wants)
    assert case.goal(site, name)
    site.check()
    for table in ("machines", "trash"):
        site.rows(f"DELETE FROM {table}")
    for pool in site.hosts.pools.values():
        pool.volumes.clear()
        pool.trash.clear()
    for each in site.hosts.hosts.values():
        each.running.clear()


def count(site: Site, case: Case) -> tuple[int, int]:
    """Transactions and commands of a run in which all goes well."""
    wants = prepare(site, case, "well")
    site.hosts.fault = counter = Trouble(site, 0, "", "")
    with closing(mortal()) as connected:
        assert attempt(site, case, "well", wants, connected)
        found = connected.commits, counter.calls
    site.hosts.fault = no_fault
    finish(site, case, "well", wants)
    return found


@pytest.fixture
def large(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """With a quota that is no matter here, a pool of one host's own, and jobs that have to be asked about."""
    site.rows(OWN_POOL)
    site.hosts.pools["own"] = FakePool(seen_by=(HOST2,))
    monkeypatch.setattr(engine, "POLL", 0.001)
    for host in site.hosts.hosts.values():
        host.slow = 2
    site.create("first")
    site.rows("UPDATE owners SET machines = 100, disk = 1000, memory = 100000")
    site.submit("delete", "first")
    site.submit("purge", "first", trash=site.trashed())
    yield site


def test_few_transactions(large: Site) -> None:
    """Each is a turn to the database and back, which a user waits for."""
    commits = {case.kind: count(large, case)[0] for case in CASES if case.kind in ("create", "boot")}
    assert commits == {"create": 4, "boot": 4}  # look, admit, begin the step, end


@pytest.mark.parametrize("case", MOST)
def test_the_requester_dies(large: Site, case: Case, record: Callable[[str, str, int], None]) -> None:
    commits, calls = count(large, case)
    points = [("commit", n, when) for n in range(1, commits + 1) for when in ("before", "after")]
    points += [("command", n, when) for n in range(1, calls + 1) for when in ("before", "after")]
    for number, (what, n, when) in enumerate(points):
        name = f"m{number}"
        wants = prepare(large, case, name)
        with closing(mortal()) as connected:
            if what == "commit":
                connected.die = (n, when)
            else:
                large.hosts.fault = Trouble(large, n, when, "killed")
            attempt(large, case, name, wants, connected)
        recover(large)
        finish(large, case, name, wants)
    record(POINTS, "the requester dies", len(points))


@pytest.mark.parametrize("case", MOST)
def test_network_or_host_fails(large: Site, case: Case, record: Callable[[str, str, int], None]) -> None:
    _, calls = count(large, case)
    points = [(n, what, when) for n in range(1, calls + 1) for what, when in TROUBLES]
    for number, (n, what, when) in enumerate(points):
        name = f"m{number}"
        wants = prepare(large, case, name)
        large.hosts.fault = Trouble(large, n, when, what)
        with closing(mortal()) as connected:
            attempt(large, case, name, wants, connected)
        large.hosts.fault = no_fault
        with suppress(InvirtError):  # impatient: refused as busy, or done; never both
            large.submit(case.kind, name, **wants)
        recover(large)
        finish(large, case, name, wants)
    record(POINTS, "network or host fails", len(points))


@pytest.mark.parametrize("case", WHOLE)
def test_recovery_dies_too(large: Site, case: Case, record: Callable[[str, str, int], None]) -> None:
    """A command fails or its requester dies, and whoever goes on dies at each point as well."""
    number = 0
    for what in ("killed", "fails"):
        for when in ("before", "after"):
            for n in range(1, 30):
                name, number = f"m{number}", number + 1
                wants = prepare(large, case, name)
                large.hosts.fault = Trouble(large, 3 if case.kind in ASKING else 1, when, what)
                with closing(mortal()) as connected:
                    if what == "fails":
                        connected.die = (6, "before")
                    attempt(large, case, name, wants, connected)
                large.hosts.fault = no_fault
                large.expire()
                with closing(mortal()) as connected, suppress(Killed):
                    connected.die = (n, when)
                    recovery.run(connected, large.hosts)
                reached = connected.commits >= n
                recover(large)
                finish(large, case, name, wants)
                if not reached:
                    break
    record(POINTS, "recovery dies too", number)


ASKING = [kind.name for kind in KINDS.values() if kind.asks]


def test_every_kind_is_killed() -> None:
    assert {case.kind for case in CASES} | {"volume-trash"} == set(KINDS)
