"""Mutants of what keeps machines safe when hosts die and machines move: see test_mutants."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from invirt.remote import apart, lost, nplusone, rejoin, survey
from invirt.remote.operations import STEPS
from tests.parts.operations import histories, misfortune, simulation
from tests.parts.operations.fakeguests import FakeHost
from tests.parts.operations.simulation import World
from tests.parts.operations.test_mutants import MOST, Patch, made
from tests.parts.operations.weather import BAD, SimulatedHosts
from tests.parts.postgres import Database

SEND = SimulatedHosts._domain_send
MOVES = [(6, "boot", {}), (8, "migrate", {}), (1, "destroy", {})]


class Restless(SimulatedHosts):
    """Hosts that boot what they ran, when they wake."""

    def wakes(self, hostname: str) -> None:
        super().wakes(hostname)
        host = self.hosts[hostname]
        host.running |= host.crashed


def hasty(patch: Patch, world: World) -> None:
    """A host lets a guest run that was sent, before the other has given it up."""

    def send(self: SimulatedHosts, host: FakeHost, name: str, target: str, within: str) -> None:
        SEND(self, host, name, target, within)
        if name in self.hosts[target].waiting:
            self._domain_arrive(self.hosts[target], name)
            host.running.add(name)

    patch.setattr(histories, "WISHES", MOVES)
    patch.setattr(SimulatedHosts, "_domain_send", send)


def old_orders(patch: Patch, world: World) -> None:
    """A host that was lost obeys what comes from before that, and doesn't ask what is reserved there."""
    patch.setattr(misfortune, "LOSSES", 0.4)
    patch.setattr(histories, "WISHES", MOVES)
    patch.setattr(simulation, "BAD", dataclasses.replace(BAD, late=300))

    def wakes(self: SimulatedHosts, hostname: str) -> None:
        self.hosts[hostname].crash()

    patch.setattr(SimulatedHosts, "wakes", wakes)
    patch.setattr(SimulatedHosts, "require", lambda *_: None)


def hearsay(patch: Patch, world: World) -> None:
    """A host counts as lost because somebody says so: nobody asks it, or has taken its power away."""
    patch.setattr(misfortune, "LOSSES", 0.3)
    patch.setattr(World, "down", lambda *_, **__: None)
    patch.setattr(lost, "_refuse_if_it_answers", lambda *_: None)


def still_promised(patch: Patch, world: World) -> None:
    """What was promised on a host that is lost is promised still."""
    world.rows("CREATE OR REPLACE FUNCTION lose_host(host integer, who text) RETURNS void LANGUAGE sql"
               " SECURITY DEFINER AS 'UPDATE public.hosts SET lost_at = pg_catalog.now(), lost_by = who"
               " WHERE host_id = host'")  # fmt: skip


def lost_hosts_get_machines(patch: Patch, world: World) -> None:
    """Nobody asks whether a host is lost before something is reserved there."""
    patch.setattr(survey, "HOSTS", survey.HOSTS.replace("enabled AND lost_at IS NULL", "enabled"))
    world.rows("ALTER TABLE reservations DISABLE TRIGGER lost")


def any_time(patch: Patch, world: World) -> None:
    """A host rejoins whatever its clock says."""
    patch.setattr(misfortune, "REJOINS", 0.3)
    patch.setattr(misfortune, "CLOCKS", 0.3)
    patch.setattr(rejoin, "_refuse_clock", lambda *_: None)


def kept_by_the_source(patch: Patch, world: World) -> None:
    """The home of a machine that was handed over stays where it was."""
    patch.setattr(histories, "WISHES", MOVES)
    patch.setitem(STEPS, "hand over", dataclasses.replace(STEPS["hand over"], record=None))


def left_waiting(patch: Patch, world: World) -> None:
    """Nobody makes sure that a guest which has come is let run."""
    patch.setattr(histories, "WISHES", MOVES)
    patch.setitem(STEPS, "take over", dataclasses.replace(STEPS["take over"], do=None))


def together(patch: Patch, world: World) -> None:
    """Nobody keeps machines apart."""
    patch.setattr(apart, "barred", lambda *_: {})
    world.rows("ALTER TABLE reservations DISABLE TRIGGER stay_apart")


def nobody_counts(patch: Patch, world: World) -> None:
    """Nobody asks whether a host's death would be absorbed."""
    patch.setattr(nplusone, "check", lambda *_: "")


MUTANTS: tuple[type[SimulatedHosts] | Callable[[Patch, World], None], ...] = (
    Restless,
    hasty,
    old_orders,
    hearsay,
    still_promised,
    lost_hosts_get_machines,
    any_time,
    kept_by_the_source,
    left_waiting,
    together,
    nobody_counts,
)


@pytest.mark.nightly
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_is_noticed(
    mutant: Any, database: Database, record: Callable[[str, str, int], None]
) -> None:
    """Of histories in which hosts die those in which the weather lets most things come to their end."""
    with made(mutant, database) as world:
        played = next((n for n in range(1, MOST + 1) if histories.replay(world, 4 * n - 1)), None)
    assert played, f"{MOST} histories, and nothing was noticed"
    record("histories until mutants were noticed", mutant.__name__, played)
