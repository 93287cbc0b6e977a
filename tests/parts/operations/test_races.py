"""Many at once, at the edge of what there is: nothing over, nothing twice, each loser told why.

Two "remote servers" are two groups of threads here, each request with a
connection of its own; all they share is the database and the hosts.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from invirt.base.errors import BadInput, Busy, InvirtError, NoRoom, NotFound
from invirt.remote.operations import Actor, submit
from tests.parts.operations.conftest import ALICE, Site

AT_ONCE = 24  # threads
Outcome = InvirtError | None


def submitted(site: Site, kind: str, name: str, /, **wants: object) -> Outcome:
    """Submit with a connection of its own; None if it was done, else why not."""
    try:
        submit(kind, Actor(ALICE), name, wants, hosts=site.hosts)
    except InvirtError as error:
        return error
    return None


def race(tasks: Sequence[Callable[[], Outcome]]) -> list[Outcome]:
    """Run all at once, in no particular order; the outcomes are in the tasks' order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        order = list(enumerate(tasks))
        random.Random(1).shuffle(order)
        running = {number: pool.submit(task) for number, task in order}
        return [running[number].result(timeout=120) for number in range(len(tasks))]


def kinds(outcomes: Sequence[Outcome]) -> Counter[type]:
    return Counter(type(outcome) for outcome in outcomes)


@pytest.fixture
def rich(site: Site) -> Site:
    """alice, with a quota that is no matter."""
    site.create("first")
    site.rows("UPDATE owners SET machines = 1000, disk = 10000, memory = 1000000")
    site.submit("delete", "first")
    return site


def test_creates_at_the_edge_of_the_quota(site: Site) -> None:
    outcomes = race([partial(submitted, site, "create", f"m{n}", memory=64, disk=1) for n in range(100)])
    assert kinds(outcomes) == {type(None): 4, NoRoom: 96}
    assert all("quota of alice is 4 machines" in str(error) for error in outcomes if error)
    site.check()


# The rule on quotas: counting without its lock, and slowly.
LOCK = "UPDATE owners o SET memory = o.memory WHERE o.owner_id = for_owner RETURNING o.* INTO quota;"
NO_LOCK = "SELECT * INTO quota FROM owners o WHERE o.owner_id = for_owner;"
COUNTED = "IF used.machines"


@pytest.mark.parametrize("locked", [False, True])
def test_disks_at_the_edge_of_the_quota(rich: Site, locked: bool) -> None:
    """Each on a machine of its own: they share the owner.  Without the lock, some get too much."""
    names = [f"m{number}" for number in range(AT_ONCE)]
    for name in names:
        rich.create(name, memory=64)
    rich.rows("UPDATE owners SET disk = %s", AT_ONCE + 10)
    if not locked:
        [(rule,)] = rich.rows("SELECT pg_get_functiondef('check_quota(integer)'::regprocedure)")
        assert LOCK in str(rule)
        slow = str(rule).replace(LOCK, NO_LOCK).replace(COUNTED, f"PERFORM pg_sleep(0.2); {COUNTED}", 1)
        rich.rows(slow.replace("%", "%%"))
    outcomes = race([partial(submitted, rich, "disk-create", name, disk="hdb", size=1) for name in names])
    if locked:
        assert kinds(outcomes) == {type(None): 10, NoRoom: AT_ONCE - 10}
    else:
        assert outcomes.count(None) > 10
    rich.check()


def test_creates_at_the_edge_of_the_addresses(rich: Site) -> None:
    rich.rows("UPDATE address_ranges SET last = '10.7.0.59'")
    outcomes = race([partial(submitted, rich, "create", f"m{n}", memory=64, disk=1) for n in range(100)])
    assert kinds(outcomes) == {type(None): 50, NoRoom: 50}
    assert rich.rows("SELECT count(DISTINCT ip), count(DISTINCT mac_addr) FROM nics") == [(50, 50)]
    rich.check()


def test_boots_at_the_edge_of_memory(rich: Site) -> None:
    for number in range(100):
        assert submitted(rich, "create", f"m{number}", memory=64, disk=1) is None
    outcomes = race([partial(submitted, rich, "boot", f"m{n}") for n in range(100)])
    assert kinds(outcomes) == {type(None): 16, NoRoom: 84}
    assert all("host1: 0 of 512 MiB are free" in error.hint for error in outcomes if error)
    used = rich.rows("SELECT sum(memory) FROM machines WHERE host_id IS NOT NULL GROUP BY host_id")
    assert used == [(512,), (512,)]
    rich.check()


def test_everyone_wants_one_name(rich: Site) -> None:
    outcomes = race([partial(submitted, rich, "create", "remus", memory=64, disk=1)] * 50)
    assert kinds(outcomes) == {type(None): 1, BadInput: 49}
    rich.check()


def test_everyone_boots_one_machine(rich: Site) -> None:
    rich.create("remus")
    outcomes = race([partial(submitted, rich, "boot", "remus")] * 50)
    assert kinds(outcomes) == {type(None): 1, Busy: 49}
    assert len(rich.hosts.running()) == 1
    rich.check()


def test_the_same_request_many_times_is_one(rich: Site) -> None:
    def repeat() -> Outcome:
        try:
            submit("create", Actor(ALICE), "remus", {"memory": 64, "disk": 1}, "key", hosts=rich.hosts)
        except InvirtError as error:
            return error
        return None

    assert kinds(race([repeat] * 30)) == {type(None): 30}
    assert rich.rows("SELECT count(*) FROM operations WHERE machine_name = 'remus'") == [(1,)]
    rich.check()


def test_delete_against_boot(rich: Site) -> None:
    for round in range(15):
        name = f"m{round}"
        rich.create(name, memory=64)
        tasks = [partial(submitted, rich, kind, name) for kind in ("boot", "delete") * 4]
        outcomes = race(tasks)
        assert None in outcomes
        assert kinds(outcomes).keys() <= {type(None), Busy, NotFound}
        rich.check()
        if rich.homes().get(name):
            rich.submit("destroy", name)


def test_rename_against_everything(rich: Site) -> None:
    everything: list[tuple[str, str, dict[str, object]]] = []
    for number in range(4):
        rich.create(f"m{number}", memory=64)
    for number in range(4):
        for other in range(8):
            everything.append(("rename", f"m{number}", {"name": f"m{other}"}))
            everything.append(("create", f"m{other}", {"memory": 64, "disk": 1}))
        for kind in ("boot", "shutdown", "destroy", "reboot", "delete"):
            everything.append((kind, f"m{number}", {}))
        everything.append(("resize", f"m{number}", {"memory": 65, "disks": {"hda": 2}}))
        everything.append(("disk-create", f"m{number}", {"disk": "hdb", "size": 1}))
    outcomes = race([partial(submitted, rich, kind, name, **wants) for kind, name, wants in everything * 2])
    assert kinds(outcomes).keys() <= {type(None), Busy, NotFound, BadInput, NoRoom}
    assert all(str(error).strip() for error in outcomes if error)
    rich.check()
