"""What is said to remctld, it holds in memory before it asks who may say it: so much and no more."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.parts.remote.conftest import MEMORY, REMOTE, RemoteServer

CALL = """
import remctl, sys
address, port, principal, size = sys.argv[1:]
client = remctl.Remctl()
client.open(address, int(port), principal)
try:
    client.command(["machine", "show", "x" * int(size)])
    print(client.output()[0])
except remctl.RemctlError:
    print("ended")
"""


def call(remote: RemoteServer, size: int) -> tuple[str, int]:
    """What comes first in answer to a call with an argument of so many bytes; remctld's bytes at the most."""
    door, most = remote.remctld, 0
    argv = [sys.executable, "-c", CALL, door.address, str(door.port), f"host/{REMOTE}", str(size)]
    environment = {**os.environ, **remote.remctld.realm.as_user("alice")}
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as calling:
        while calling.poll() is None:
            most = max(most, *map(peak, door.pids()), 0)
        assert calling.stdout
        return calling.stdout.read().strip(), most


def peak(pid: int) -> int:
    """The most bytes of memory that a process has had; 0 if it is no more."""
    with suppress(OSError):
        found = re.search(r"VmPeak:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) << 10 if found else 0
    return 0


def test_a_call_too_large_for_its_memory_is_ended(remote: RemoteServer) -> None:
    """90 MB take 275 MB; without a bound remctld goes on to the program, which can't be started with it."""
    said, most = call(remote, 90_000_000)
    assert said in ("ended", "done")
    assert MEMORY / 2 < most <= MEMORY
    assert call(remote, 1000)[0] == "output"  # said by the program


def test_the_bound_is_the_units() -> None:
    unit = Path(__file__).parents[3] / "invirt-remote/systemd/invirt-remctld@.service"
    assert f"\nLimitAS={MEMORY >> 20}M\n" in unit.read_text()
