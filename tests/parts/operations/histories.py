"""What happens in a simulated history: whoever wants what, and what befalls whom."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from multiprocessing import Queue
from pathlib import Path
from typing import Any

import psycopg2.extensions
import pytest

from invirt.base.errors import InvirtError
from invirt.database import connection
from invirt.database.connection import Connection
from invirt.remote import clock, nplusone, reconcile, wanted
from invirt.remote.operations import Actor, Operation, recovery, silence, store, submit
from tests.parts.operations import misfortune
from tests.parts.operations.checks import ALWAYS, OPEN, PREPARED, always, at_rest
from tests.parts.operations.conftest import ALICE, BOB, HOST1, HOST2, OWN_POOL, SITE
from tests.parts.operations.fakedisks import FakePool
from tests.parts.operations.simulation import CLOCK, HOUR, REMOTES, World
from tests.parts.operations.weather import FINE, SimulatedHosts
from tests.parts.postgres import Cluster, Database, fresh

Verb = Callable[[Connection, SimulatedHosts, int, Callable[[str], None]], Operation]
ADMIN = Actor("root/admin@INVIRT.TEST", administrator=True)
NAMES = ("a", "b", "c")
OWNER = "us"
WISHES: tuple[tuple[int, str, dict[str, Any]], ...] = (  # how often, of machines that are there
    (8, "boot", {}),
    (2, "shutdown", {}),
    (3, "destroy", {}),
    (1, "reboot", {}),
    (1, "rescue", {}),
    (4, "migrate", {}),
    (2, "cold-migrate", {}),
    (2, "cold-migrate", {"host": "host1"}),
    (3, "delete", {}),
    (2, "rename", {"name": "b"}),
    (2, "rename", {"name": "c"}),
    (2, "resize", {"memory": 250, "disks": {"hda": 3}}),
    (2, "resize", {"memory": 100, "disks": {"hda": 4}}),
    (3, "disk-create", {"disk": "hdb", "size": 1}),
    (2, "disk-create", {"disk": "hdd", "size": 1, "pool": "own"}),
    (1, "disk-remove", {"disk": "hdb"}),
    (1, "disk-resize", {"disk": "hda", "size": 4}),
    (1, "disk-rename", {"disk": "hda", "name": "hdc"}),
    (1, "disk-rename", {"disk": "hdc", "name": "hda"}),
)
CREATES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("create", {"memory": 200, "disk": 1, "owner": OWNER}),
    ("create", {"memory": 250, "disk": 2, "owner": OWNER}),
    ("create", {"memory": 150, "disk": 1, "owner": OWNER, "pool": "own"}),
)
OF_TRASH = 0.3  # of the wishes are about what is in the trash
BEGUN = 22  # by users, services and administrators, in one history
AT_ONCE = 4
SWEPT = 50  # histories until what they left in the database is cleared away
TOLD = 100  # lines of what went before a failure

OWNERS = f"""
INSERT INTO owners (name, memory, disk, machines) VALUES ('{OWNER}', 600, 20, 4);
INSERT INTO members SELECT owner_id, unnest(ARRAY['{ALICE}', '{BOB}']) FROM owners;
"""
FIRST = "SELECT min(operation_id) FROM operations"
THERE = ("a", "b")  # at the beginning, with a disk of 1 GiB
MACHINES = f"""
INSERT INTO machines (name, owner_id, type_id, memory)
    SELECT unnest(ARRAY{list(THERE)}), owner_id, type_id, 200 FROM owners, types;
INSERT INTO disks (machine_id, name, size) SELECT machine_id, 'hda', 1 FROM machines;
INSERT INTO nics (machine_id, mac_addr, ip) SELECT machine_id,
    ('02:00:00:00:00:0' || name)::macaddr, '10.7.0.10'::inet + row_number() OVER () FROM machines;
INSERT INTO operations (kind, machine_id, machine_name, principal, state, finished_at)
    SELECT 'create', machine_id, name, '{ALICE}', 'done', now() FROM machines;
INSERT INTO operations (kind, machine_name, principal, state, finished_at)
    VALUES ('delete', 'c', '{ALICE}', 'done', now());
INSERT INTO trash (name, machine_id, owner_id, machine, ends_at) SELECT 'c', -1, owner_id, jsonb_build_object(
    'memory', 100, 'cpus', 1, 'type', 'linux', 'description', '', 'created_at', now(), 'autostart', true,
    'access', '[]'::jsonb,
    'nics', '[{{"mac_addr": "02:00:00:00:00:0c", "ip": "10.7.0.13", "ip6": null, "hostname": null,
        "hostnames": []}}]'::jsonb), 'infinity' FROM owners;
INSERT INTO trash_disks SELECT trash_id, 'hda', 1, (SELECT max(operation_id) FROM operations) FROM trash;
"""


def begin_something(world: World) -> None:
    """A user wants something, a service has its turn, or an administrator looks after things."""
    if misfortune.happen(world):
        return
    luck = world.chance.random()
    if luck < 0.7:
        wish(world)
    elif luck < 0.9:
        begin_service(world)
    elif found := world.rows(OPEN):
        number, _ = world.chance.choice(found)
        verb = world.chance.choice((recovery.retry, recovery.undo))
        title = f"administrator's {verb.__name__} of {number - world.rows(FIRST)[0][0]}"
        world.start(title, partial(look_after, world, verb, number))


def begin_service(world: World) -> None:
    """One of the remote servers looks after what was left."""
    remote = world.chance.choice(REMOTES)
    world.start(f"service of {remote}", partial(service, world), remote)


def wish(world: World) -> None:
    """A user wants something, perhaps twice at once with the same key."""
    chance = world.chance
    if chance.random() < OF_TRASH and wish_of_trash(world):
        return
    name, who = chance.choice(NAMES), chance.choice((ALICE, BOB))
    if (name,) in world.rows("SELECT name::text FROM machines") or chance.random() < 0.1:
        _, kind, wants = chance.choices(WISHES, [often for often, _, _ in WISHES])[0]
    else:
        kind, wants = chance.choice(CREATES)
    key = f"key{len(world.trace)}" if chance.random() < 0.1 else None
    for _ in range(2 if key else 1):
        title = f"{who.partition('@')[0]}'s {kind} of {name} {wants}"
        actor = Actor(who, administrator=kind.endswith("migrate"))
        world.start(
            title,
            partial(ask, world, actor, kind, name, wants, key),
        )


def wish_of_trash(world: World) -> bool:
    """A user wants something back, or its end; whether there is anything."""
    chance, found = world.chance, world.rows("SELECT trash_id, machine IS NULL FROM trash ORDER BY trash_id")
    if not found:
        return False
    number, is_disk = chance.choice(found)
    kind = "purge" if chance.random() < 0.2 else "disk-undelete" if is_disk else "undelete"
    name, who = chance.choice(NAMES), chance.choice((ALICE, BOB))
    title = f"{who.partition('@')[0]}'s {kind} of {number - found[0][0]} in the trash as {name}"
    world.start(title, partial(ask, world, Actor(who), kind, name, {"trash": number}, None))
    return True


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


def service(world: World, connected: Connection) -> None:
    """What is left over is gone on with; what is off is given back, or booted again."""
    recovery.run(connected, world.hosts)
    facts = reconcile.gather(connected, world.hosts, volumes=False)
    again = wanted.to_boot(connected, facts)
    reconcile.release_off(connected, facts, again)
    for name in again:
        with suppress(InvirtError):
            submit("boot", wanted.actor(), name, hosts=world.hosts, connection=connected)


def fate(world: World) -> None:
    """Something happens that nobody asked for."""
    name, host = world.chance.choice(sorted(world.hosts.hosts.items()))
    luck = world.chance.random()
    if luck < 0.5:
        misfortune.wake(world, name)
    elif luck < 0.6:
        host.running.clear()
        world.note(f"all guests of {name} power off")
    elif luck < 0.7:
        begin_service(world)
    elif luck < 0.8:
        guest = world.chance.choice(NAMES)
        host.running.discard(guest)
        world.note(f"{guest} of {name} powers off")
    elif luck < 0.9:
        guest = world.chance.choice(NAMES)
        host.crash(guest)
        world.note(f"{guest} of {name} crashes")
    else:
        host.deaf ^= {world.chance.choice(NAMES)}


def populate(world: World) -> None:
    """Two machines are there already, a third one is in the trash."""
    world.rows(MACHINES)
    misfortune.populate(world)
    for number, name in enumerate(THERE):
        world.hosts.volumes[name, "hda"] = 1
        world.hosts.contents["default", name, "hda"] = -number
    [(number,)] = world.rows("SELECT operation_id FROM trash_disks")
    world.hosts.trash["c", "hda", number] = 1
    world.hosts.contents["default", "c", "hda", str(number)] = -len(THERE)


def play(world: World, seed: int) -> None:
    """One history, after which the sun comes out: all must come to rest as the rows say."""
    world.begin(seed)
    misfortune.begin(world, seed)
    populate(world)
    begun = 0
    while begun < BEGUN or world.tasks:
        if begun < BEGUN and len(world.tasks) < AT_ONCE and world.chance.random() < 0.1:
            begin_something(world)
            begun += 1
        elif world.chance.random() < 0.02:
            fate(world)
            always(world)
        else:
            turn(world)
    recover(world)
    at_rest(world)
    use(world)


def turn(world: World) -> None:
    """Somebody goes on, and nothing is broken by it; if there is nobody, time passes."""
    before = world.hosts.acts, world.commits, len(world.tasks)
    if not world.tasks:
        world.now += world.chance.uniform(0, 100)
    world.go_on()
    if (world.hosts.acts, world.commits, len(world.tasks)) != before:
        always(world)


def recover(world: World) -> None:
    """All hosts are back, perhaps without guests; services do their work until nothing is left to do."""
    world.climate = FINE
    misfortune.recover(world)
    for host in world.hosts.hosts.values():
        host.deaf.clear()
        if world.chance.random() < 0.3:
            host.crash()
    for _ in range(8):
        calm = not (world.rows(OPEN) or world.parcels or world.jobs)
        world.now += HOUR
        world.start("service", partial(service, world))
        world.settle()
        always(world)
        if calm:
            break
    for number, state in world.rows(OPEN):
        assert state == "stuck", f"operation {number} is {state}"
        world.start("retry", partial(look_after, world, recovery.retry, number))
        world.settle()


def use(world: World) -> None:
    """Nothing stands in the way of what users want of a machine now."""
    if not (rows := world.rows(ALWAYS)):
        return
    row = world.chance.choice(rows)
    for kind in ("destroy", "delete") if row.hostname else ("delete",):
        world.start(f"{kind} of {row.name}", partial(ask, world, ADMIN, kind, row.name, {}, None))
        world.settle()
    assert len(world.rows(ALWAYS)) == len(rows) - 1, f"{row.name} can't be deleted"


def replay(world: World, seed: int) -> str:
    """play(); why it failed, what went before that, and how to see it again; "" if it didn't."""
    try:
        play(world, seed)
    except Exception as error:
        for task in world.tasks:
            task.end()
        again = (
            f"INVIRT_TEST_SEED={seed} /usr/bin/python3 -m pytest tests/parts/operations/test_simulation.py"
        )
        return "\n".join([*world.trace[-TOLD:], traceback.format_exc(), f"seed {seed}: {error!r}", again])
    return ""


@contextmanager
def made(database: Database, hosts: SimulatedHosts | None = None) -> Iterator[World]:
    """A world on a database of its own; its clock is the one by which operations wait."""
    database.execute(CLOCK.format(name=database.name))
    database.execute(SITE + OWNERS + OWN_POOL)
    connection.role = "remote"
    psycopg2.extensions.set_wait_callback(None)
    with closing(database.connect()) as owner, pytest.MonkeyPatch.context() as patch:
        world = World(database, owner, hosts or SimulatedHosts(HOST1, HOST2))
        world.hosts.pools["own"] = FakePool(seen_by=(HOST2,))
        world.rows(PREPARED)
        world.hosts.world = world
        patch.setattr(clock, "current", world)
        patch.setattr(store, "this_process", world.this_process)
        patch.setattr(store, "is_gone", world.is_gone)
        patch.setattr(store, "claim", world.claim)
        patch.setattr(store, "begin", world.mark)
        patch.setattr(store, "insert", partial(misfortune.insert, world))
        patch.setattr(nplusone, "config", nplusone.config)  # misfortune.begin sets it
        world.rows("ALTER TABLE host_signs DISABLE TRIGGER now")
        yield world
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
                if played % SWEPT == 0:
                    world.rows("VACUUM")
                failure = replay(world, seed)
                played += 1
    finally:
        results.put((played, failure))
