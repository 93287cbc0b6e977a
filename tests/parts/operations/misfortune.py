"""Hosts of the simulation that die: administrators declare them lost, they wake, and are to rejoin.

In half of the histories, by their seeds.  Some machines are kept apart there, and in some of them a
host's death must be absorbed (N+1).
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from invirt import config
from invirt.database.connection import Connection
from invirt.remote import absorb, lost, nplusone, rejoin
from invirt.remote.operations import Actor, silence, store
from invirt.remote.operations.model import Plan, Request
from invirt.remote.rows import Cursor

if TYPE_CHECKING:
    from tests.parts.operations.simulation import World

ADMIN = Actor("root/admin@INVIRT.TEST", administrator=True)
LOSSES, REJOINS, CLOCKS = 0.05, 0.05, 0.02  # of what is begun
WRONG = 1000.0  # seconds that a clock is off
INSERT = store.insert
SIGNS = "INSERT INTO host_signs (host_id, seen_at) SELECT host_id, now() + interval '1 day' FROM hosts"
LOST = "SELECT hostname::text FROM hosts WHERE lost_at IS NOT NULL"
PROMISED = "SELECT machine_id FROM reservations JOIN hosts USING (host_id) WHERE lost_at IS NOT NULL"
TOKEN = "SELECT last_value FROM operation_token"
APART = "INSERT INTO apart SELECT min(machine_id), max(machine_id), min(owner_id) FROM machines"
TOGETHER = """
SELECT k.machine_id FROM kept_apart k JOIN reservations a ON a.machine_id = k.machine_id
    JOIN reservations b ON b.machine_id = k.other_id AND b.host_id = a.host_id
"""


def begin(world: World, seed: int) -> None:
    """Nobody has been lost; whether hosts die in this history, and what is wanted of N+1."""
    world.rows("UPDATE hosts SET lost_at = NULL, lost_by = NULL; DELETE FROM host_signs")
    world.hosts_die, world.held = seed % 4 in (0, 3), []
    for host in world.hosts.hosts.values():
        host.ahead, host.floor = 0.0, 0
    rule = "refuse" if seed % 8 in (0, 3) else "ignore"
    nplusone.config = SimpleNamespace(remote=SimpleNamespace(n_plus_one=rule), site=config.site)  # type: ignore[attr-defined]


def populate(world: World) -> None:
    """The machines that are there are kept apart."""
    if world.hosts_die and world.chance.random() < 0.7:
        world.rows(APART)


def happen(world: World) -> bool:
    """An administrator has something to do with hosts, perhaps."""
    luck = world.chance.random() if world.hosts_die else 1.0
    begun = luck < LOSSES + REJOINS + CLOCKS
    name = world.chance.choice(sorted(world.hosts.hosts)) if begun else ""
    if luck < LOSSES:
        world.held.append(name)
        world.down(name, guests=True)
        world.start(f"administrator's loss of {name}", partial(lose, world, name))
    elif luck < LOSSES + REJOINS:
        world.start(f"administrator's rejoin of {name}", partial(take_back, world, name))
    elif begun:
        world.hosts.hosts[name].ahead = world.chance.choice((0.0, WRONG, -WRONG))
    return begun


def is_lost(world: World, hostname: str) -> bool:
    """Whether it was declared that."""
    return (hostname,) in world.rows(LOST)


def wake(world: World, hostname: str) -> None:
    """It is there again: not before it is written down that it is lost, if an administrator sees to that."""
    if hostname in world.held and not is_lost(world, hostname):
        return
    world.note(f"{hostname} is up")
    host = world.hosts.hosts[hostname]
    if not host.up and is_lost(world, hostname):
        world.hosts.wakes(hostname)
    host.up = True


def lose(world: World, hostname: str, connected: Connection) -> None:
    """An administrator has taken its power away, and says so."""
    try:
        lost.lose(connected, world.hosts, hostname, "power-off", ADMIN, silence)
    finally:
        world.held.remove(hostname)


def take_back(world: World, hostname: str, connected: Connection) -> None:
    """Into service; never with a wrong clock."""
    world.rows(f"{SIGNS} ON CONFLICT DO NOTHING")
    was = world.hosts.hosts[hostname].ahead
    try:
        rejoin.rejoin(connected, world.hosts, hostname, silence)
        if was and was == world.hosts.hosts[hostname].ahead:
            world.hosts.wrong.append(f"{hostname} is back with a wrong clock")
    finally:
        world.rows("DELETE FROM host_signs")


def insert(world: World, cursor: Cursor, request: Request, plan: Plan, holder: str | None) -> store.Lease:
    """store.insert(), watched: no user's boot leaves more without room, should a host die."""
    strict = nplusone.config.remote.n_plus_one == "refuse"
    counts = strict and request.kind == "boot" and request.actor.principal not in config.remote_principals
    before = _unplaced(cursor) if counts else {}
    lease = INSERT(cursor, request, plan, holder)
    after = _unplaced(cursor) if counts else {}
    if any(after[name] > memory for name, memory in before.items()):
        world.hosts.wrong.append(f"{request.kind} of {request.machine_name} breaks N+1: {after}")
    return lease


def _unplaced(cursor: Cursor) -> dict[str, int]:
    rooms = absorb.rooms(cursor)
    return absorb.unplaced(rooms) if sum(room.takes for room in rooms) > 1 else {}


def always(world: World) -> None:
    """What holds of hosts that are lost, and of machines that are kept apart."""
    if not world.hosts_die:
        return
    assert not world.rows(PROMISED), "something is reserved on a host that is lost"
    for (hostname,) in world.rows(LOST):
        running: Any = world.hosts.hosts[hostname].running
        assert not running, f"{running} runs on {hostname}, which is lost"
    assert not world.rows(TOGETHER), "two that are kept apart are on one host"


def recover(world: World) -> None:
    """All are up, with the right time; and back in service, as soon as somebody says so."""
    for name, host in sorted(world.hosts.hosts.items()):
        host.ahead = 0.0
        wake(world, name)
        if is_lost(world, name):
            world.start(f"rejoin of {name}", partial(take_back, world, name))
            world.settle()
            assert not is_lost(world, name), f"{name} can't rejoin"
