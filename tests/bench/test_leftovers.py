"""What is left over beside a guest that obeys no shutdown: how long it waits, against when it is alone."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from invirt.remote.operations.crew import Crew
from tests.parts.operations.conftest import Site, site
from tests.parts.operations.processes import ProcessHosts
from tests.parts.operations.test_crew import ask, deaf, hosts, left
from tests.results import beside

__all__ = ["hosts", "site"]  # the fixtures

LIMIT = 2.0  # times
DEADLINE = 120.0  # seconds
STATE = "SELECT state FROM operations WHERE operation_id = %s"


@pytest.fixture
def crews(site: Site, hosts: ProcessHosts) -> Iterator[tuple[Crew, Crew]]:
    """One that has a deaf guest's shutdown, and one that has nothing to do."""
    site.create("first")
    site.rows("UPDATE owners SET machines = 100, disk = 1000, memory = 100000")
    site.hosts.volumes.clear()
    ask(site, hosts, "create", "remus", memory=64, disk=1)
    ask(site, hosts, "boot", "remus")
    deaf(hosts, "remus")
    left(site, hosts, "shutdown", "remus")
    busy, idle = Crew(hosts, lambda _: None), Crew(hosts, lambda _: None)
    busy.turn(site.remote)
    yield busy, idle
    for child in (*busy.workers, *idle.workers):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_beside_a_deaf_guest(
    site: Site, hosts: ProcessHosts, crews: tuple[Crew, Crew], tmp_path: Path
) -> None:
    numbers = itertools.count()

    def wait(crew: Crew) -> float:
        began = time.monotonic()
        number = left(site, hosts, "create", f"m{next(numbers)}", memory=64, disk=1)
        while site.rows(STATE, number) != [("done",)]:
            assert time.monotonic() < began + DEADLINE
            crew.turn(site.remote)
            time.sleep(0.02)
        return time.monotonic() - began

    busy, idle = crews
    wait(idle)
    beside("what was left over, beside a deaf guest", lambda: wait(busy), lambda: wait(idle), LIMIT)
