"""What is said to remctld, it holds in memory before it asks who may say it: so much and no more."""

from __future__ import annotations

import os
import subprocess
import sys
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


def call(remote: RemoteServer, size: int) -> str:
    """What comes first in answer to a call with an argument of so many bytes."""
    door = remote.remctld
    argv = [sys.executable, "-c", CALL, door.address, str(door.port), f"host/{REMOTE}", str(size)]
    environment = {**os.environ, **remote.remctld.realm.as_user("alice")}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip()


def test_a_call_too_large_for_its_memory_is_ended(remote: RemoteServer) -> None:
    """90 MB take 275 MB; without a bound remctld goes on to the program, which can't be started with it."""
    assert call(remote, 90_000_000) in ("ended", "done")
    assert call(remote, 1000) == "output"  # said by the program


def test_the_bound_is_the_units() -> None:
    unit = Path(__file__).parents[3] / "invirt-remote/systemd/invirt-remctld@.service"
    assert f"\nLimitAS={MEMORY >> 20}M\n" in unit.read_text()
