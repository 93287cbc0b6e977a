"""Seeded histories: thousands of them, on a clock of their own.

The default run takes as many as fit into ten seconds.  INVIRT_TEST_SEEDS=5000
takes so many, INVIRT_TEST_SEED=17 that one alone.  A seed that found a fault
belongs into FOUND.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from multiprocessing import Queue, get_context
from pathlib import Path

import pytest

from tests.parts.operations import histories
from tests.parts.operations.simulation import World
from tests.parts.postgres import Cluster, Database

PROCESSES = 4  # each waits for PostgreSQL half of its time
ROOMY = 10.0  # seconds
LONGEST = 7200.0  # seconds that any number of seeds may take
FOUND = (109, 122)  # a lease prolonged in time was taken; an undoing found the quota taken: two mutants


ONE = os.environ.get("INVIRT_TEST_SEED")
SEEDS = int(os.environ.get("INVIRT_TEST_SEEDS", "0"))
SECONDS = float("inf") if SEEDS else ROOMY


def play(cluster: Cluster, folder: Path, seeds: range, seconds: float) -> int:
    """Play the seeds in several processes; returns how many were played, fails with the first failure."""
    forking, deadline = get_context("fork"), time.monotonic() + seconds
    results: Queue[tuple[int, str]] = forking.Queue()
    children = []
    for number in range(PROCESSES):
        own = folder / str(number)
        own.mkdir()
        told = (cluster, own, seeds[number::PROCESSES], deadline, results)
        children.append(forking.Process(target=histories.share, args=told))
        children[-1].start()
    shares = [results.get(timeout=LONGEST) for _ in children]
    for child in children:
        child.join(timeout=30)
    if failures := [failure for _, failure in shares if failure]:
        pytest.fail("\n\n".join(failures), pytrace=False)
    return sum(played for played, _ in shares)


@pytest.mark.skipif(ONE is not None, reason="one seed is wanted")
def test_histories(cluster: Cluster, tmp_path: Path, record: Callable[[str, str, int], None]) -> None:
    began = time.monotonic()
    played = play(cluster, tmp_path, range(SEEDS or 1_000_000), SECONDS)
    print(f"{played} histories, {played / (time.monotonic() - began):.1f} a second")
    record("histories", "simulated", played)
    assert played >= (SEEDS or 5)


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    """Where histories can be played one by one."""
    with histories.made(database) as made:
        yield made


@pytest.mark.parametrize("seed", [int(ONE)] if ONE else [*FOUND, 1])
def test_a_seed_is_always_the_same_history(world: World, seed: int) -> None:
    traces = []
    for _ in range(2):
        if failure := histories.replay(world, seed):
            pytest.fail(failure, pytrace=False)
        traces.append(world.trace)
    assert traces[0] == traces[1]
