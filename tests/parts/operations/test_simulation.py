"""Seeded histories: users, hosts and a network of which all do what they like.

One process and no clock of its own: whoever waits, waits until the history
says that it is over.  A seed replays exactly; one that found a fault belongs
into FOUND.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest

from invirt.base.errors import CommandFailed, InvirtError, Unreachable
from invirt.remote.hosts import NoAnswer
from invirt.remote.operations import Actor, recovery, silence, submit
from tests.parts.operations.conftest import ALICE, BOB, Site
from tests.parts.operations.fakehosts import Killed, no_fault
from tests.parts.operations.test_kill import mortal

SEEDS = int(os.environ.get("INVIRT_TEST_SEEDS", "30"))
FOUND: tuple[int, ...] = ()
EVENTS = 25
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
    ("disk-rename", {"disk": "hda", "name": "hdc"}),
)


class Weather:
    """What goes wrong at a command, by chance: lost, delayed, repeated, failed, killed."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self.site, self.chance = site, chance

    def __call__(self, when: str, hostname: str, words: tuple[str, ...]) -> None:
        luck = self.chance.random()
        if luck > 0.12:
            return
        if luck < 0.02:
            raise Killed
        if luck < 0.04:
            self.site.hosts.hosts[hostname].up = False
            raise NoAnswer(hostname) if when == "after" else Unreachable(hostname)
        if luck < 0.06:
            raise CommandFailed(f"{hostname} failed")
        if luck < 0.08:
            with suppress(InvirtError):
                self.site.hosts.act(hostname, words)  # it comes twice
            return
        if when == "before" and words[1] not in ("status", "list"):
            raise self.site.hosts.lose(hostname, words)
        raise NoAnswer(hostname)


def wish(site: Site, chance: random.Random) -> None:
    """A user wants something, and may be killed amid a transaction."""
    kind, wants = chance.choice(WISHES)
    with closing(mortal()) as connected:
        if chance.random() < 0.1:
            connected.die = (chance.randint(1, 9), chance.choice(("before", "after")))
        who = Actor(chance.choice((ALICE, ALICE, BOB)))
        with suppress(InvirtError, Killed):
            submit(kind, who, chance.choice(NAMES), wants, hosts=site.hosts, connection=connected)


def event(site: Site, chance: random.Random) -> None:
    """One thing that happens."""
    luck = chance.random()
    hosts = list(site.hosts.hosts.values())
    if luck < 0.6:
        wish(site, chance)
    elif luck < 0.75:
        with suppress(InvirtError, Killed):
            site.recover()
    elif luck < 0.85:
        site.hosts.deliver()
    elif luck < 0.92:
        chance.choice(hosts).up = True
    else:
        chance.choice(hosts).running.clear()  # all its guests power off


def always(site: Site) -> None:
    """What holds at every moment, however bad the weather is."""
    guests = [guest for _, guest in site.hosts.running()]
    assert len(guests) == len(set(guests)), "a guest runs twice"
    homes = site.homes()
    for host, guest in site.hosts.running():
        assert homes.get(guest) == host, f"{guest} runs on {host}, where nothing is reserved"
    over = site.rows(
        "SELECT h.name FROM hosts h JOIN machines m USING (host_id) GROUP BY h.host_id, h.name"
        " HAVING sum(m.memory) > h.memory"
    )
    assert over == []
    trashed = {(name, disk) for name, disk, _ in site.hosts.trash}
    disks = set(site.rows("SELECT m.name, d.name FROM disks d JOIN machines m USING (machine_id)"
                          " WHERE NOT EXISTS (SELECT FROM operations o WHERE o.machine_id = m.machine_id"
                          " AND o.finished_at IS NULL)"))  # fmt: skip
    assert disks <= set(site.hosts.volumes), f"a disk is lost; in the trash: {trashed}"


def play(site: Site, seed: int) -> None:
    """One history, after which the sun comes out: all must come to rest as the rows say."""
    chance = random.Random(seed)
    site.hosts.fault = Weather(site, chance)
    for _ in range(EVENTS):
        event(site, chance)
        always(site)
    site.hosts.fault = no_fault
    for host in site.hosts.hosts.values():
        host.up = True
    site.recover()
    site.hosts.deliver()
    for _ in range(6):
        site.recover()
    for (number,) in site.rows("SELECT operation_id FROM operations WHERE state = 'stuck'"):
        resolve(site, int(str(number)))
    site.check()


def resolve(site: Site, number: int) -> None:
    """What an administrator does about a stuck operation when the weather is good again."""
    assert recovery.retry(site.remote, site.hosts, number, silence).state == "undone"


def clear(site: Site) -> None:
    """For the next history: nothing is there."""
    site.rows("DELETE FROM operations")
    site.rows("DELETE FROM machines")
    site.hosts.volumes.clear()
    site.hosts.trash.clear()
    for host in site.hosts.hosts.values():
        host.running.clear()


@pytest.mark.parametrize("first", range(0, SEEDS, 10))
def test_histories(site: Site, first: int, record_points: Callable[[str, int], None]) -> None:
    seeds = [*(FOUND if first == 0 else ()), *range(first, first + 10)]
    record_points("simulated histories", len(seeds))
    for seed in seeds:
        try:
            play(site, seed)
        except BaseException as error:
            raise AssertionError(f"seed {seed}") from error
        clear(site)
