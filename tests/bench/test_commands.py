"""remctl calls with many machines there, against a bare remctl call on the same machine in the same run."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.parts.owned import machine
from tests.parts.realm import Realm, Remctlds
from tests.parts.remote.conftest import RemoteServer, remote, site
from tests.results import Result, best, keep

__all__ = ["remote", "site"]  # the fixtures

ROUNDS = 9
READS = 20
MACHINES = 10_000
STATUS = 0.25  # seconds more than the bare call: a Python program that asks the database
CONF = 0.05  # seconds until the whole of conf is read

FILL = f"""
WITH made AS (INSERT INTO owners (name, memory, disk, machines)
    SELECT 'o' || n, 10000, 100, 10 FROM generate_series(1, {MACHINES} / 10) n RETURNING owner_id, name),
known AS (INSERT INTO members SELECT owner_id, name || '@INVIRT.TEST' FROM made)
INSERT INTO machines (name, owner_id, type_id, memory)
    SELECT 'f' || owner_id || '0' || n, owner_id, 1, 64 FROM made, generate_series(0, 9) n
"""


def quickest(work: Callable[[], object]) -> float:
    """Seconds that work takes; other work on the machine only adds to them."""
    took = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        work()
        took.append(time.monotonic() - began)
    return min(took)


@pytest.fixture
def bare(realm: Realm, remctlds: Remctlds, tmp_path: Path) -> Callable[[], object]:
    """A call of /bin/true, of a remctld with one line, started for each connection."""
    conf = tmp_path / "bare.conf"
    conf.write_text("control ALL /bin/true ANYUSER\n")
    server = remctlds.start("bare.invirt.test", conf)
    return lambda: server.call("alice", "control", "remus", "status")


def test_calls(remote: RemoteServer, bare: Callable[[], object]) -> None:
    machine(remote.database, "remus")

    def status() -> None:
        assert remote.call("alice", "control", "remus", "status").stdout == "remus is off\n"

    def read(file: str) -> float:
        """Seconds to read a file once, as remctld does."""
        script = f"for i in $(seq {READS}); do cat {file} >/dev/null; done"
        argv = [*remote.namespace.enter, "sh", "-ec", script]
        return quickest(lambda: subprocess.run(argv, check=True, timeout=60)) / READS

    few = quickest(status)
    remote.database.execute(FILL)
    status()
    plain = quickest(bare)
    best(f"control NAME status, {MACHINES} machines there, above a bare call",
         lambda: quickest(status) - plain, "s", STATUS)  # fmt: skip
    keep(Result("control NAME status, 1 machine there", few, "s", bare=plain))
    keep(Result(f"control NAME status, {MACHINES} machines there", quickest(status), "s", bare=plain))
    conf, copy = "/etc/remctl/remconffs/conf", "/etc/remctl/copy"
    remote.namespace.run("cp", conf, copy)
    best(f"reading conf, {MACHINES} machines there", lambda: read(conf), "s", CONF)
    keep(Result("reading a copy of it", read(copy), "s"))
