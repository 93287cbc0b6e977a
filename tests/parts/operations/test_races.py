"""Many at once, at the edge of what there is: nothing over, nothing twice, each loser told why.

Two remote servers, each a process, have half of the requests each, and each
request has a connection of its own; all they share is the database and the hosts.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from functools import partial

import pytest

from invirt.base.errors import BadInput, Busy, NoRoom, NotFound
from tests.parts.operations import servers
from tests.parts.operations.conftest import ALICE, BOB, Site
from tests.parts.operations.servers import Outcome, Task, submitted

AT_ONCE = 24  # requests
IN_TRASH = 1  # GiB of each of rich's owners


def asked(kind: str, name: str, /, **wants: object) -> Task:
    """What submitted() shall do."""
    return partial(submitted, kind, name, **wants)


def race(site: Site, tasks: Sequence[Task], at_once: int = AT_ONCE) -> list[Outcome]:
    """Run all at once, in no particular order; the outcomes are in the tasks' order."""
    order = random.Random(1).sample(range(len(tasks)), len(tasks))
    outcomes = servers.run(site.hosts, [tasks[number] for number in order], at_once)
    return [outcome for _, outcome in sorted(zip(order, outcomes, strict=True), key=lambda pair: pair[0])]


def kinds(outcomes: Sequence[Outcome]) -> Counter[type]:
    return Counter(type(outcome) for outcome in outcomes)


@pytest.fixture
def rich(site: Site) -> Site:
    """alice and bob, with quotas that are no matter; bob may do with alice's machines as she does."""
    for who in (ALICE, BOB):
        site.create("first", who=who)
        site.submit("delete", "first", who=who)
    site.rows("UPDATE owners SET machines = 1000, disk = 10000, memory = 1000000")
    site.rows("INSERT INTO members SELECT owner_id, %s FROM owners WHERE name = 'alice'", BOB)
    return site


def test_creates_at_the_edge_of_the_quota(site: Site) -> None:
    outcomes = race(site, [asked("create", f"m{n}", memory=64, disk=1) for n in range(100)])
    assert kinds(outcomes) == {type(None): 4, NoRoom: 96}
    assert all("quota of alice is 4 machines" in str(error) for error in outcomes if error)
    site.check()


# The rule on quotas: counting without its lock, and slowly.
LOCK = "UPDATE owners o SET made_by = o.made_by WHERE o.owner_id = for_owner RETURNING o.* INTO one;"
NO_LOCK = "SELECT * INTO one FROM owners o WHERE o.owner_id = for_owner;"
COUNTED = "IF used >"


@pytest.mark.parametrize("locked", [False, True])
def test_disks_at_the_edge_of_the_quota(rich: Site, locked: bool) -> None:
    """Each on a machine of its own: they share the owner.  Without the lock, some get too much."""
    names = [f"m{number}" for number in range(AT_ONCE)]
    for name in names:
        rich.create(name, memory=64)
    rich.rows("UPDATE owners SET disk = %s", AT_ONCE + 10 + IN_TRASH)
    if not locked:
        [(rule,)] = rich.rows("SELECT pg_get_functiondef('check_quota(integer, text[])'::regprocedure)")
        assert LOCK in str(rule)
        slow = str(rule).replace(LOCK, NO_LOCK).replace(COUNTED, f"PERFORM pg_sleep(0.2); {COUNTED}", 1)
        rich.rows(slow.replace("%", "%%"))
    outcomes = race(rich, [asked("disk-create", name, disk="hdb", size=1) for name in names])
    if locked:
        assert kinds(outcomes) == {type(None): 10, NoRoom: AT_ONCE - 10}
    else:
        assert outcomes.count(None) > 10
    rich.check()


@pytest.mark.nightly
def test_creates_and_boots_at_the_edge_of_all_there_is(rich: Site) -> None:
    """alice's quota has room for 20 machines more, the range for 60, both hosts for 16 guests."""
    made = race(rich, [asked("create", f"m{n}", memory=64, disk=1) for n in range(50)])
    assert made == [None] * 50
    rich.rows("UPDATE owners SET machines = 70 WHERE name = 'alice'")
    rich.rows("UPDATE address_ranges SET last = '10.7.0.119'")
    tasks = [asked("create", f"new{n}", who=(ALICE, BOB)[n % 2], memory=64, disk=1) for n in range(100)]
    tasks += [asked("boot", f"m{n}", who=who) for n in range(50) for who in (ALICE, BOB)]
    outcomes = race(rich, tasks, at_once=len(tasks))
    made, booted = outcomes[:100], outcomes[100:]
    assert kinds(made) == {type(None): 60, NoRoom: 40}
    assert made[::2].count(None) <= 20  # alice's
    told = [{error.message for error in losers if error} for losers in (made[::2], made[1::2])]
    assert told[0] <= {"the quota of alice is 70 machines; this would make 71", "no address is free"}
    assert told[1] <= {"no address is free"}
    assert booted.count(None) == 16 and kinds(booted).keys() <= {type(None), Busy, NoRoom}
    full = [error.hint for error in booted if isinstance(error, NoRoom)]
    assert all("host1: 0 of 512 MiB are free" in hint for hint in full)
    used = rich.rows("SELECT sum(memory) FROM reservations GROUP BY host_id")
    assert used == [(512,), (512,)]
    assert rich.rows("SELECT count(DISTINCT ip), count(DISTINCT mac_addr) FROM nics") == [(110, 110)]
    rich.check()


def test_everyone_wants_one_name(rich: Site) -> None:
    outcomes = race(rich, [asked("create", "remus", who=who, memory=64, disk=1) for who in (ALICE, BOB) * 25])
    assert kinds(outcomes) == {type(None): 1, BadInput: 49}
    rich.check()


def test_everyone_boots_one_machine(rich: Site) -> None:
    rich.create("remus")
    outcomes = race(rich, [asked("boot", "remus", who=who) for who in (ALICE, BOB) * 25])
    assert kinds(outcomes) == {type(None): 1, Busy: 49}
    assert len(rich.hosts.running()) == 1
    rich.check()


def test_the_same_request_many_times_is_one(rich: Site) -> None:
    tasks = [asked("create", "remus", key="key", memory=64, disk=1)] * 30
    assert race(rich, tasks) == [None] * 30
    assert rich.rows("SELECT count(*) FROM operations WHERE machine_name = 'remus'") == [(1,)]
    rich.check()


def test_delete_against_boot(rich: Site) -> None:
    for round in range(15):
        name = f"m{round}"
        rich.create(name, memory=64)
        both = [asked(kind, name, who=who) for kind in ("boot", "delete") for who in (ALICE, BOB)]
        outcomes = race(rich, both * 2)
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
    tasks = [asked(kind, name, who=who, **wants) for who in (ALICE, BOB) for kind, name, wants in everything]
    outcomes = race(rich, tasks)
    assert kinds(outcomes).keys() <= {type(None), Busy, NotFound, BadInput, NoRoom}
    assert all(str(error).strip() for error in outcomes if error)
    rich.check()
