"""remctl calls with many machines there, beside bare ones in the same run.

The bare call starts a Python program that asks the database one thing.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from invirt.base import cli
from invirt.base.commands import config as apply
from tests.parts.owned import machine
from tests.parts.realm import Realm, Remctlds
from tests.parts.remote.conftest import RemoteServer, remote, site
from tests.results import Result, beside, keep, quickest

__all__ = ["remote", "site"]  # the fixtures

ROUNDS = 5
READS = 20
MACHINES = 10_000
START, STATUS, CONF = 4.0, 3.5, 5.0  # times as long
ROOT = Path(__file__).parents[2]
ASK = """\
#!/usr/bin/python3
import psycopg2
connected = psycopg2.connect(host="{socket}", dbname="{name}", user="invirt_remote")
connected.cursor().execute("SELECT 1")
"""

FILL = f"""
WITH made AS (INSERT INTO owners (name, memory, disk, machines)
    SELECT 'o' || n, 10000, 100, 10 FROM generate_series(1, {MACHINES} / 10) n RETURNING owner_id, name),
known AS (INSERT INTO members SELECT owner_id, name || '@INVIRT.TEST' FROM made)
INSERT INTO machines (name, owner_id, type_id, memory)
    SELECT 'f' || owner_id || '0' || n, owner_id, 1, 64 FROM made, generate_series(0, 9) n
"""


@pytest.fixture
def bare(realm: Realm, remctlds: Remctlds, remote: RemoteServer, tmp_path: Path) -> Callable[[], object]:
    """A call of that program, of a remctld with one line, started for each connection."""
    conf, program = tmp_path / "bare.conf", tmp_path / "ask"
    program.write_text(ASK.format(socket=remote.database.socket, name=remote.database.name))
    program.chmod(0o755)
    conf.write_text(f"control ALL {program} ANYUSER\n")
    server = remctlds.start("bare.invirt.test", conf)

    def call() -> None:
        assert server.call("alice", "control", "remus", "status").status == 0

    return call


def test_programs_start(invirt_yaml: Path, tmp_path: Path) -> None:
    """A program that reads the configuration, beside a Python that does nothing."""
    assert cli.main(apply.COMMAND, ["apply", "--root", str(tmp_path)]) == 0  # as where packages are installed
    getconf = [sys.executable, str(ROOT / "invirt-base/bin/invirt-getconf"), "site.realm"]

    def start(argv: list[str]) -> None:
        subprocess.run(argv, check=True, timeout=60, stdout=subprocess.DEVNULL)

    beside(
        "the start of a program",
        lambda: quickest(lambda: start(getconf), 2 * ROUNDS),
        lambda: quickest(lambda: start([sys.executable, "-c", "pass"]), 2 * ROUNDS),
        START,
    )


def test_calls(remote: RemoteServer, bare: Callable[[], object], tmp_path: Path) -> None:
    machine(remote.database, "remus")
    assert cli.main(apply.COMMAND, ["apply", "--root", str(tmp_path)]) == 0  # as where packages are installed

    def status() -> None:
        assert remote.call("alice", "control", "remus", "status").stdout == "remus is off\n"

    def read(file: str) -> float:
        """Seconds to read a file once, as remctld does."""
        script = f"for i in $(seq {READS}); do cat {file} >/dev/null; done"
        argv = [*remote.namespace.enter, "sh", "-ec", script]
        return quickest(lambda: subprocess.run(argv, check=True, timeout=60), 3) / READS

    keep(Result("control NAME status, 1 machine there", quickest(status, ROUNDS), "s"))
    remote.database.execute(FILL)
    status()
    there = f"{MACHINES} machines there"
    beside(
        f"control NAME status, {there}",
        lambda: quickest(status, ROUNDS),
        lambda: quickest(bare, ROUNDS),
        STATUS,
    )
    conf, copy = "/etc/remctl/remconffs/conf", "/etc/remctl/copy"
    remote.namespace.run("cp", conf, copy)
    beside(f"reading conf, {there}", lambda: read(conf), lambda: read(copy), CONF)
