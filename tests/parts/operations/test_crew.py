"""What was left is gone on with by several processes at once, and soon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from invirt import config
from invirt.remote.operations import Actor, begin, crew, recovery, submit
from tests.parts.operations.conftest import ALICE, HOST1, Site
from tests.parts.operations.processes import ROOT, ProcessHosts

FREE = 30.0  # seconds after which the machine of a remote server that died is free again
DEADLINE = 90.0  # seconds
STATES = "SELECT operation_id, state FROM operations WHERE operation_id = ANY(%s)"
# A requester on another server: nothing here can tell that its process is gone.
ELSEWHERE = """
import socket, sys
socket.gethostname = lambda: "another.invirt.test"
from tests.parts.operations.processes import main
sys.exit(main())
"""


@pytest.fixture
def hosts(site: Site, tmp_path: Path) -> ProcessHosts:
    """The commands of two hosts, which share their volumes; guests may take long to shut down."""
    with site.database.config.open("a") as file:
        file.write("  shutdown_timeout: 3600\nhypervisor: {driver: fake}\n")
        file.write(f"storage: {{driver: fake, directory: {tmp_path}/volumes}}\n")
    config.reload()
    return ProcessHosts(tmp_path / "hosts")


@pytest.fixture
def many(site: Site, hosts: ProcessHosts) -> Iterator[crew.Crew]:
    """A crew of three, none of which outlives the test."""
    made = crew.Crew(hosts, print, most=3)
    yield made
    for child in made.workers:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def ask(site: Site, hosts: ProcessHosts, kind: str, name: str, **wants: Any) -> None:
    submit(kind, Actor(ALICE), name, wants, hosts=hosts, connection=site.remote)


def left(site: Site, hosts: ProcessHosts, kind: str, name: str, **wants: Any) -> int:
    """An operation that is left to the service."""
    return begin(kind, Actor(ALICE), name, wants, hosts=hosts, connection=site.remote)


def until(site: Site, made: crew.Crew, what: Callable[[], bool]) -> None:
    """Have turns until it is so."""
    deadline = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < deadline, site.rows("SELECT kind, state, error FROM operations")
        made.turn(site.remote)
        assert len(made.workers) <= made.most
        time.sleep(0.1)


def deaf(hosts: ProcessHosts, name: str) -> None:
    """The guest doesn't obey."""
    for host in hosts.folder.glob("host*.test"):
        (host / "fake/deaf").mkdir(parents=True, exist_ok=True)
        (host / "fake/deaf" / name).touch()


def test_a_deaf_guest_holds_up_nobody_else(site: Site, hosts: ProcessHosts, many: crew.Crew) -> None:
    """Its shutdown goes on while what was left after it is done."""
    ask(site, hosts, "create", "remus", memory=64, disk=1)
    ask(site, hosts, "boot", "remus")
    deaf(hosts, "remus")
    waits = left(site, hosts, "shutdown", "remus")
    others = [left(site, hosts, "create", f"m{n}", memory=64, disk=1) for n in range(3)]
    until(site, many, lambda: {state for _, state in site.rows(STATES, others)} == {"done"})
    assert site.rows(STATES, [waits]) == [(waits, "running")]


@pytest.mark.nightly
def test_one_after_the_other_they_would_wait(
    site: Site, hosts: ProcessHosts, many: crew.Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a crew of one, which shows that the test above could fail."""
    many.most = 1
    ask(site, hosts, "create", "remus", memory=64, disk=1)
    ask(site, hosts, "boot", "remus")
    deaf(hosts, "remus")
    left(site, hosts, "shutdown", "remus")
    waits = left(site, hosts, "create", "romulus", memory=64, disk=1)
    for _ in range(30):
        many.turn(site.remote)
        time.sleep(0.1)
    assert site.rows(STATES, [waits]) == [(waits, "running")]
    assert len(many.workers) == 1


def test_a_worker_that_is_killed_is_followed_by_another(
    site: Site, hosts: ProcessHosts, many: crew.Crew
) -> None:
    ask(site, hosts, "create", "remus", memory=64, disk=1)
    ask(site, hosts, "boot", "remus")
    deaf(hosts, "remus")
    number = left(site, hosts, "shutdown", "remus")
    begun = "SELECT 1 FROM operation_steps WHERE operation_id = %s AND state = 'doing'"
    until(site, many, lambda: len(site.rows(begun, number)) == 1)
    [first] = many.workers
    os.kill(first, signal.SIGKILL)
    for host in hosts.folder.glob("host*.test"):
        (host / "fake/deaf/remus").unlink()
    until(site, many, lambda: site.rows(STATES, [number]) == [(number, "done")])
    assert site.homes() == {"remus": None}


@pytest.mark.nightly
def test_a_dead_remote_s_machine_is_soon_free_again(
    site: Site, hosts: ProcessHosts, many: crew.Crew, tmp_path: Path, record: Any
) -> None:
    """Its server lost its power amid a step: nothing tells but the end of its lease."""
    ask(site, hosts, "create", "remus", memory=64, disk=1)
    ask(site, hosts, "boot", "remus")
    deaf(hosts, "remus")
    words = [str(hosts.folder), "shutdown", "remus", json.dumps({})]
    dying = subprocess.Popen([sys.executable, "-c", ELSEWHERE, *words], cwd=ROOT, stdout=subprocess.DEVNULL)
    renewed = "SELECT 1 FROM operations WHERE kind = 'shutdown' AND lease_holder LIKE 'another%%'"
    until(site, many, lambda: len(site.rows(renewed)) == 1)
    time.sleep(6)  # it has renewed its lease since then
    dying.kill()
    dying.wait(timeout=20)
    died = time.monotonic()
    for host in hosts.folder.glob("host*.test"):
        (host / "fake/deaf/remus").unlink()
    until(site, many, lambda: site.rows("SELECT 1 FROM operations WHERE finished_at IS NULL") == [])
    took = time.monotonic() - died
    print(f"a dead remote's machine is free again after {took:.1f} s")
    assert took < FREE
    ask(site, hosts, "boot", "remus")
    assert recovery.run(site.remote, hosts) == []
    assert site.homes()["remus"] == HOST1
