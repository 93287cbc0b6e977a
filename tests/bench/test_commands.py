"""remctl calls with many machines there, beside bare ones in the same run.

A bare call is one that does nothing, through the same configuration of the same remctld.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from invirt.base import cli
from invirt.base.commands import config as apply
from tests.parts.owned import machine
from tests.parts.remote.conftest import RemoteServer, remote, site
from tests.results import Result, beside, keep, quickest

__all__ = ["remote", "site"]  # the fixtures

ROUNDS = 5
READS = 20
START, STATUS, CONF = 8.0, 1.8, 5.0  # times as long
ROOT = Path(__file__).parents[2]
FILL = """
WITH made AS (INSERT INTO owners (name, memory, disk, machines)
    SELECT 'o' || n, 10000, 100, 10 FROM generate_series(1, %s / 10) n RETURNING owner_id, name),
known AS (INSERT INTO members SELECT owner_id, name || '@INVIRT.TEST' FROM made)
INSERT INTO machines (name, owner_id, type_id, memory)
    SELECT 'f' || owner_id || '0' || n, owner_id, 1, 64 FROM made, generate_series(0, 9) n
"""


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


@pytest.mark.parametrize("machines", [10_000, pytest.param(100_000, marks=pytest.mark.nightly)])
def test_calls(remote: RemoteServer, tmp_path: Path, machines: int) -> None:
    (remote.namespace.folder / "remctl/conf.d/nothing").write_text("nothing ALL /bin/true ANYUSER\n")
    file = remote.database.config  # where nothing has been read yet, 100,000 take longer than tests let them
    file.write_text(file.read_text().replace("statement_timeout: 2", "statement_timeout: 20"))
    remote.end()
    remote.mount()
    machine(remote.database, "remus")
    assert cli.main(apply.COMMAND, ["apply", "--root", str(tmp_path)]) == 0  # as where packages are installed

    def status() -> None:
        assert remote.call("alice", "control", "remus", "status").stdout == "remus is off\n"

    def bare() -> None:
        assert remote.call("alice", "nothing").status == 0

    def read(file: str) -> float:
        """Seconds to read a file once, as remctld does."""
        script = f"for i in $(seq {READS}); do cat {file} >/dev/null; done"
        argv = [*remote.namespace.enter, "sh", "-ec", script]
        return quickest(lambda: subprocess.run(argv, check=True, timeout=60), 3) / READS

    there = f"{machines} machines there"
    with remote.warm():
        keep(Result("control NAME status, 1 machine there", quickest(status, ROUNDS), "s"))
        remote.database.execute(FILL, (machines,))
        status()
        beside(
            f"control NAME status, {there}",
            lambda: quickest(status, ROUNDS),
            lambda: quickest(bare, ROUNDS),
            STATUS,
        )
    keep(Result(f"control NAME status, {there}, no worker ready", quickest(status, ROUNDS), "s"))
    conf, copy = "/etc/remctl/remconffs/conf", "/etc/remctl/copy"
    remote.namespace.run("cp", conf, copy)
    beside(f"reading conf, {there}", lambda: read(conf), lambda: read(copy), CONF)
