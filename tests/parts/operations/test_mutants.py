"""What would go wrong if something were missing: the simulation's checks must notice it.

Each mutant lacks one thing that keeps machines safe.  Histories in rough
weather are played until one of them fails; how many that took is printed with
the points.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from invirt.remote import placement, reconcile, survey
from invirt.remote.operations import STEPS, admission, engine, machines, store
from invirt.remote.operations.engine import Worker
from invirt.remote.operations.model import Operation, Plan, StepRow
from invirt.remote.operations.store import Lease
from tests.parts.operations import histories
from tests.parts.operations.conftest import HOST1, HOST2
from tests.parts.operations.fakedisks import FakePool
from tests.parts.operations.simulation import World
from tests.parts.operations.weather import SimulatedHosts
from tests.parts.postgres import Database

MOST = 500  # histories until a mutant must have been noticed

Patch = pytest.MonkeyPatch


class Tokenless(SimulatedHosts):
    """Hosts that obey every command, however late."""

    def too_late(self, token: int, seen: int) -> bool:
        return False


class Obliging(SimulatedHosts):
    """Hosts that obey a command twice."""

    def too_late(self, token: int, seen: int) -> bool:
        return token < seen


class Trashless(SimulatedHosts):
    """Hosts whose trash is emptied at once."""

    def _volume_remove(self, pool: FakePool, *words: Any) -> None:
        super()._volume_remove(pool, *words)
        pool.trash.clear()


class Copying(SimulatedHosts):
    """Hosts on which a rename leaves the old volume."""

    def _volume_rename(self, pool: FakePool, name: str, disk: str, *new: str) -> None:
        old = pool.volumes.get((name, disk))
        super()._volume_rename(pool, name, disk, *new)
        if old is not None:
            pool.volumes[name, disk] = old


def no_undo(patch: Patch, world: World) -> None:
    """Nothing undoes the making of a volume."""
    patch.setitem(STEPS, "create volume", dataclasses.replace(STEPS["create volume"], undo=None))


def no_return(patch: Patch, world: World) -> None:
    """Nothing puts back into the trash what was not given back in the end; users want things back."""
    patch.setattr(histories, "OF_TRASH", 0.7)
    patch.setitem(STEPS, "give volume back", dataclasses.replace(STEPS["give volume back"], undo=None))


def no_fence(patch: Patch, world: World) -> None:
    """What is given up is not called off at its host; users do nothing but switch on and off."""
    power = [wish for wish in histories.WISHES if wish[1] in ("boot", "shutdown", "destroy", "reboot")]
    patch.setattr(histories, "WISHES", power)
    for name in ("shut guest down", "destroy guest", "reboot guest"):
        patch.setitem(STEPS, name, dataclasses.replace(STEPS[name], undo=None))


def memory_kept(patch: Patch, world: World) -> None:
    """A boot that is undone keeps its place on the host."""
    patch.setitem(STEPS, "boot guest", dataclasses.replace(STEPS["boot guest"], unreserve=None))


def same_token(patch: Patch, world: World) -> None:
    """Undoing takes no new token."""
    begin = store.begin

    def mutant(cursor: Any, lease: Lease, position: int, state: str) -> Lease:
        if state == "doing":
            return begin(cursor, lease, position, state)
        store.mark(cursor, lease, position, state, {})
        return lease

    patch.setattr(store, "begin", mutant)


def no_lease(patch: Patch, world: World) -> None:
    """Whoever works on something is taken for dead."""
    patch.setattr(store, "is_gone", lambda holder: True)


def done_before(patch: Patch, world: World) -> None:
    """A step is marked as done before it is done."""
    begin = store.begin

    def mutant(cursor: Any, lease: Lease, position: int, state: str) -> Lease:
        return begin(cursor, lease, position, {"doing": "done", "undoing": "undone"}[state])

    patch.setattr(store, "begin", mutant)


def doing_is_nothing(patch: Patch, world: World) -> None:
    """What may have been done is taken for not done when it is undone."""
    undo = Worker.undo

    def mutant(self: Worker, operation: Operation, row: StepRow) -> None:
        undo(self, operation, dataclasses.replace(row, state="pending") if row.state == "doing" else row)

    patch.setattr(Worker, "undo", mutant)


def no_answer_is_no_command(patch: Patch, world: World) -> None:
    """A command that nobody answered is taken for one that was never sent."""
    patch.setattr(engine, "NoAnswer", type(None))


def old_news(patch: Patch, world: World) -> None:
    """What the hosts said is believed, though the machine changed since then."""

    class Whatever:
        def __ne__(self, other: object) -> bool:
            return False

    patch.setattr(admission, "surveys", SimpleNamespace(seen=lambda cursor, name: Whatever()))


def restless(patch: Patch, world: World) -> None:
    """The timer gives back the memory of guests that are just being booted."""
    patch.setattr(reconcile, "MOVING", "SELECT '' AS name WHERE %s IS NULL")


def no_quota(patch: Patch, world: World) -> None:
    """Nobody looks at the quota."""
    world.rows("ALTER TABLE machines DISABLE TRIGGER room")


def overbooked(patch: Patch, world: World) -> None:
    """Nobody counts what is reserved on hosts; users do nothing but boot."""
    patch.setattr(histories, "WISHES", [(1, "boot", {})])
    patch.setattr(histories, "OF_TRASH", 0)
    patch.setattr(placement, "in_use", lambda cursor: {})
    world.rows("ALTER TABLE reservations DISABLE TRIGGER room")


def blind(patch: Patch, world: World) -> None:
    """Nobody asks which hosts see the pools of a machine's disks; users do nothing but make and boot."""
    patch.setattr(histories, "WISHES", [(1, "boot", {}), (1, "destroy", {})])
    patch.setattr(histories, "CREATES", [wish for wish in histories.CREATES if "pool" in wish[1]])
    patch.setattr(survey.Survey, "blind", lambda *_: "")
    world.rows("ALTER TABLE reservations DISABLE TRIGGER sight")


def believed(patch: Patch, world: World) -> None:
    """What is begun is taken for done."""
    patch.setattr(Worker, "wait", lambda *_: {})


def no_pivot(patch: Patch, world: World) -> None:
    """Nothing stands behind a point from which it can't be undone."""
    patch.setitem(STEPS, "end at source", dataclasses.replace(STEPS["end at source"], pivot=False))


def silence_is_no(patch: Patch, world: World) -> None:
    """A guest whose source doesn't answer amid its hand-over is taken for not handed over."""
    patch.setitem(STEPS, "hand over", dataclasses.replace(STEPS["hand over"], once=False))


def nothing_copied(patch: Patch, world: World) -> None:
    """A disk is taken for copied though nothing of it was."""
    patch.setitem(STEPS, "copy volume", dataclasses.replace(STEPS["copy volume"], do=None))


def copied_and_kept(patch: Patch, world: World) -> None:
    """What was copied stays where it was, too."""
    patch.setitem(
        STEPS, "remove what was copied", dataclasses.replace(STEPS["remove what was copied"], do=None)
    )


def unreserved(patch: Patch, world: World) -> None:
    """A boot reserves nothing on its host, which doesn't ask."""
    patch.setattr(SimulatedHosts, "require", lambda *_: None)
    insert = store.insert

    def mutant(cursor: Any, request: Any, plan: Plan, holder: str) -> Lease:
        return insert(cursor, request, dataclasses.replace(plan, reserves=None), holder)

    patch.setattr(store, "insert", mutant)


def given_up_early(patch: Patch, world: World) -> None:
    """A reservation ends when a guest is asked to shut down, not when it has."""
    asked = STEPS["shut guest down"]
    patch.setitem(STEPS, "shut guest down", dataclasses.replace(asked, do=None))


def prolonged(patch: Patch, world: World) -> None:
    """Whose lease had ended is taken for dead, though it was prolonged since then; services are many."""
    left_over, begin = store.left_over, histories.begin_something

    def mutant(cursor: Any) -> list[store.LeftOver]:
        found = left_over(cursor)
        cursor.execute("SELECT operation_id, lease_holder FROM operations WHERE finished_at IS NULL")
        holders = dict(cursor.fetchall())
        return [store.LeftOver(left.number, holders.get(left.number)) for left in found]

    def busy(world: World) -> None:
        (histories.begin_service if world.chance.random() < 0.5 else begin)(world)

    patch.setattr(histories, "begin_something", busy)
    patch.setattr(store, "left_over", mutant)


def given_away(patch: Patch, world: World) -> None:
    """What a resize gives up others can have before it is done, so that an undoing finds it taken."""
    patch.setattr(machines, "max", lambda wanted, had: wanted, raising=False)


MUTANTS: tuple[type[SimulatedHosts] | Callable[[Patch, World], None], ...] = (
    Tokenless,
    Obliging,
    Trashless,
    Copying,
    no_undo,
    no_return,
    no_fence,
    memory_kept,
    same_token,
    no_lease,
    done_before,
    doing_is_nothing,
    no_answer_is_no_command,
    old_news,
    restless,
    no_quota,
    believed,
    no_pivot,
    silence_is_no,
    nothing_copied,
    copied_and_kept,
    overbooked,
    blind,
    unreserved,
    given_up_early,
    prolonged,
    given_away,
)


@contextmanager
def made(mutant: Any, database: Database) -> Iterator[World]:
    """A world with this mutant."""
    is_host = isinstance(mutant, type)
    with (
        histories.made(database, mutant(HOST1, HOST2) if is_host else None) as world,
        Patch.context() as patch,
    ):
        if not is_host:
            mutant(patch, world)
        yield world


@pytest.mark.nightly
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_is_noticed(
    mutant: object, database: Database, record: Callable[[str, str, int], None]
) -> None:
    with made(mutant, database) as world:
        played = next((n for n in range(1, MOST + 1) if histories.replay(world, 2 * n)), None)
    assert played, f"{MOST} histories, and nothing was noticed"
    record("histories until mutants were noticed", getattr(mutant, "__name__", ""), played)
