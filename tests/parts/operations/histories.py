"""What happens in a simulated history, and what must hold in it and after it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing import Queue
from pathlib import Path
from typing import Any

from invirt.database import connection
from invirt.database.connection import Connection
from invirt.remote import clock, reconcile
from invirt.remote.operations import Actor, Operation, recovery, silence, submit
from tests.parts.operations.conftest import ALICE, BOB, HOST1, HOST2, SITE
from tests.parts.operations.simulation import CLOCK, FINE, HOUR, SimulatedHosts, World
from tests.parts.postgres import Cluster, Database, fresh

Verb = Callable[[Connection, SimulatedHosts, int, Callable[[str], None]], Operation]
ADMIN = Actor("root/admin@INVIRT.TEST", administrator=True)
NAMES = ("a", "b", "c")
WISHES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("create", {"memory": 200, "disk": 1}),
    ("create", {"memory": 300, "disk": 2}),
    ("boot", {}),
    ("boot", {}),
    ("shutdown", {}),
    ("destroy", {}),
    ("reboot", {}),
    ("delete", {}),
    ("rename", {"name": "b"}),
    ("rename", {"name": "c"}),
    ("resize", {"memory": 250, "disks": {"hda": 3}}),
    ("disk-create", {"disk": "hdb", "size": 1}),
    ("disk-remove", {"disk": "hdb"}),
    ("disk-resize", {"disk": "hdb", "size": 4}),
    ("disk-rename", {"disk": "hda", "name": "hdc"}),
)
CREATES = 2  # of the wishes
BEGUN = 22  # by users, timers and administrators, in one history
AT_ONCE = 4
TOLD = 60  # lines of what went before a failure

ALWAYS = """
SELECT m.name, h.hostname, m.memory, (SELECT array_agg(d.name::text) FROM disks d
        WHERE d.machine_id = m.machine_id AND NOT EXISTS (SELECT FROM operations o
            WHERE o.machine_id = m.machine_id AND o.finished_at IS NULL)) AS disks
FROM machines m LEFT JOIN hosts h USING (host_id)
"""
SIZES = "SELECT m.name, d.name, d.size FROM disks d JOIN machines m USING (machine_id)"
OPEN = "SELECT operation_id, state FROM operations WHERE finished_at IS NULL ORDER BY operation_id"
MEMORY = 512  # MiB of each host


def begin_something(world: World) -> None:
    """A user wants something, a timer runs, or an administrator looks after things."""
    luck = world.chance.random()
    if luck < 0.7:
        wish(world)
    elif luck < 0.9:
        remote = world.chance.choice(("remote1", "remote2"))
        world.start(f"timer of {remote}", partial(timer, world))
    elif found := world.rows(OPEN):
        number, _ = world.chance.choice(found)
        verb = world.chance.choice((recovery.retry, recovery.undo))
        title = f"administrator's {verb.__name__} of {number - world.rows(FIRST)[0][0]}"
        world.start(title, partial(look_after, world, verb, number))


FIRST = "SELECT min(operation_id) FROM operations"


def wish(world: World) -> None:
    """A user wants something, perhaps twice at once with the same key."""
    chance = world.chance
    name, who = chance.choice(NAMES), chance.choice((ALICE, ALICE, ALICE, ALICE, BOB))
    there = (name,) in world.rows("SELECT name::text FROM machines") or chance.random() < 0.1
    kind, wants = chance.choice(WISHES[CREATES:] if there else WISHES[:CREATES])
    key = f"key{len(world.trace)}" if chance.random() < 0.1 else None
    for _ in range(2 if key else 1):
        title = f"{who.partition('@')[0]}'s {kind} of {name} {wants}"
        world.start(title, partial(ask, world, Actor(who), kind, name, wants, key))


def ask(
    world: World,
    who: Actor,
    kind: str,
    name: str,
    wants: dict[str, Any],
    key: str | None,
    connected: Connection,
) -> None:
    """A remote server does what somebody wants."""
    submit(kind, who, name, wants, key, hosts=world.hosts, connection=connected)


def look_after(world: World, verb: Verb, number: int, connected: Connection) -> None:
    """An administrator retries or undoes an operation."""
    verb(connected, world.hosts, number, silence)


def timer(world: World, connected: Connection) -> None:
    """What invirt-operations' timer does."""
    recovery.run(connected, world.hosts)
    reconcile.release_off(connected, world.hosts)


def fate(world: World) -> None:
    """Something happens that nobody asked for."""
    name, host = world.chance.choice(sorted(world.hosts.hosts.items()))
    luck = world.chance.random()
    if luck < 0.6:
        host.up = True
        world.note(f"{name} is up")
    elif luck < 0.8:
        host.running.clear()
        world.note(f"all guests of {name} power off")
    else:
        host.deaf ^= {world.chance.choice(NAMES)}


def always(world: World) -> None:
    """What holds at every moment, however bad the weather is."""
    running = world.hosts.running()
    guests = [guest for _, guest in running]
    assert len(guests) == len(set(guests)), "a guest runs twice"
    rows = world.rows(ALWAYS)
    homes = {name: host for name, host, _, _ in rows}
    for host, guest in running:
        assert homes.get(guest) == host, f"{guest} runs on {host}, where nothing is reserved"
    for host in world.hosts.hosts:
        assert sum(memory for _, home, memory, _ in rows if home == host) <= MEMORY, f"{host} is too full"
    disks = {(name, disk) for name, _, _, names in rows for disk in names or ()}
    assert disks <= set(world.hosts.volumes), f"lost disks: {disks - set(world.hosts.volumes)}"


def at_rest(world: World) -> None:
    """What holds when nothing is under way: guests and volumes are exactly those of the rows."""
    assert world.rows(OPEN) == []
    homes = {name: host for name, host, _, _ in world.rows(ALWAYS)}
    assert {guest: host for host, guest in world.hosts.running()} == {
        name: host for name, host in homes.items() if host
    }
    sizes = {(name, disk): size for name, disk, size in world.rows(SIZES)}
    assert sizes == world.hosts.volumes
    lonely = "SELECT FROM machines m WHERE NOT EXISTS (SELECT FROM nics n WHERE n.machine_id = m.machine_id)"
    assert world.rows(lonely) == []
    assert world.rows("SELECT FROM nics GROUP BY ip HAVING count(*) > 1") == []


def play(world: World, seed: int) -> None:
    """One history, after which the sun comes out: all must come to rest as the rows say."""
    world.begin(seed)
    begun = 0
    while begun < BEGUN or world.tasks:
        if begun < BEGUN and len(world.tasks) < AT_ONCE and world.chance.random() < 0.1:
            begin_something(world)
            begun += 1
        elif world.chance.random() < 0.02:
            fate(world)
        else:
            turn(world)
    recover(world)
    at_rest(world)
    use(world)


def turn(world: World) -> None:
    """Somebody goes on, and nothing is broken by it; if there is nobody, time passes."""
    acted = world.hosts.acts
    if not world.tasks:
        world.now += world.chance.uniform(0, 100)
    world.go_on()
    if world.hosts.acts != acted:
        always(world)


def recover(world: World) -> None:
    """All hosts are back, and timers do their work until nothing is left to do."""
    world.climate = FINE
    for host in world.hosts.hosts.values():
        host.up = True
        host.deaf.clear()
    for _ in range(8):
        world.now += HOUR
        world.start("timer", partial(timer, world))
        world.settle()
        always(world)
    for number, state in world.rows(OPEN):
        assert state == "stuck", f"operation {number} is {state}"
        world.start("retry", partial(look_after, world, recovery.retry, number))
        world.settle()


def use(world: World) -> None:
    """Nothing stands in the way of what users want now."""
    for name, host, _, _ in world.rows(ALWAYS):
        for kind in ("destroy", "delete") if host else ("delete",):
            world.start(f"{kind} of {name}", partial(ask, world, ADMIN, kind, name, {}, None))
            world.settle()
    assert world.rows("SELECT name FROM machines") == []
    assert not world.hosts.volumes


def replay(world: World, seed: int) -> str:
    """play(); why it failed, what went before that, and how to see it again; "" if it didn't."""
    try:
        play(world, seed)
    except Exception as error:
        again = (
            f"INVIRT_TEST_SEED={seed} /usr/bin/python3 -m pytest tests/parts/operations/test_simulation.py"
        )
        return "\n".join([*world.trace[-TOLD:], traceback.format_exc(), f"seed {seed}: {error!r}", again])
    return ""


@contextmanager
def made(database: Database, hosts: SimulatedHosts | None = None) -> Iterator[World]:
    """A world on a database of its own; its clock is the one by which operations wait."""
    database.execute(CLOCK.format(name=database.name))
    database.execute(SITE)
    connection.role = "remote"
    connection.connect().close()
    with closing(database.connect()) as owner:
        world = World(database, owner, hosts or SimulatedHosts(HOST1, HOST2))
        world.hosts.world = world
        before, clock.current = clock.current, world
        try:
            yield world
        finally:
            clock.current = before
            for connected in world.idle:
                connected.close()


def share(
    cluster: Cluster, folder: Path, seeds: range, deadline: float, results: Queue[tuple[int, str]]
) -> None:
    """Play these seeds until deadline (of time.monotonic()); tells how many were, and what failed first."""
    played, failure = 0, "it broke off"
    try:
        with fresh(cluster, folder) as database, made(database) as world:
            failure = ""
            for seed in seeds:
                if failure or time.monotonic() > deadline:
                    break
                failure = replay(world, seed)
                played += 1
    finally:
        results.put((played, failure))
