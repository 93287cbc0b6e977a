"""What the tests of faults share: a guest that must not notice, doors that close, service that is back.

How long the last takes at most is shown with the results of the run.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from invirt_lab import cluster, console
from invirt_lab.site import HOSTS
from tests.lab.users import Lab, eventually
from tests.results import longest

Make = Callable[..., str]
UNREACHABLE, REFUSED = 7, 255
SOON, LATE = 5.0, 60.0  # seconds: what is wanted, and what no slow machine needs
BOOT = 10.0  # seconds that a boot itself may take, where one is gone on with
_HOLD = 'mkdir -p "${0%/*}"; exec flock -w 30 "$0" sh -c "echo held; cat"'  # until its input ends


@pytest.fixture(scope="module")
def guest(lab: Lab) -> Iterator[str]:
    """A machine of alice's that runs all the while."""
    lab.remctl("alice", "machine", "create", "witness", "--memory", "128", "--disk", "1")
    try:
        lab.remctl("alice", "control", "witness", "create")
        console.wait_for_prompt("witness")
        yield "witness"
    finally:
        lab.remove("witness", "alice")


@pytest.fixture(autouse=True)
def unnoticed(lab: Lab, guest: str) -> Iterator[None]:
    """The guest's process is the same after each test; nothing is left open, or of guests that ended."""
    host = console.host_of(guest)
    assert host
    unit = ("systemctl", "show", "--property=MainPID,NRestarts", f"invirt-guest@d_{guest}.service")
    before = lab.on(host, *unit).stdout
    yield
    assert lab.on(host, *unit).stdout == before
    finished(lab, BOOT)
    lab.settled()


@contextlib.contextmanager
def held(*names: str) -> Iterator[None]:
    """Whatever hosts are told to do to these machines waits, as while another command is at work."""
    with contextlib.ExitStack() as stack:
        for host, name in itertools.product(HOSTS, names):
            command = cluster.command_on(host, ["sh", "-c", _HOLD, f"/run/invirt/locks/{name}"])
            holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.enter_context(holder)  # at the end closes its input, and waits
            assert holder.stdout
            assert holder.stdout.readline()
        yield


@contextlib.contextmanager
def killed(server: str) -> Iterator[None]:
    """A server without power, and with it again."""
    cluster.kill(server)
    try:
        yield
    finally:
        cluster.boot(server)
        cluster.wait_booted(server)
    assert "ordering cycle" not in cluster.on(server, "journalctl", "--boot", "--no-pager").stdout


def places(lab: Lab, name: str) -> list[str]:
    """The hosts that a machine runs on."""
    return [host for host, names in lab.domains().items() if name in names]


def soon(check: Callable[[], object], what: str, work: float = 0) -> None:
    """check comes true; how late, against SOON, is shown.  work: seconds that are not counted."""
    began = time.monotonic()
    eventually(check, what, LATE + work)
    longest(f"lab: after a fault {what}", max(time.monotonic() - began - work, 0), SOON)


def open_operations(lab: Lab) -> str:
    """The rows of those that are not at their end."""
    return lab.sql("SELECT * FROM operations WHERE state IN ('running', 'undoing', 'stuck')").strip()


def finished(lab: Lab, work: float = 0) -> None:
    """What was cut off is done or undone, soon; work: seconds that this itself takes."""
    soon(lambda: not open_operations(lab), "what was cut off is finished", work)


def taken_up(lab: Lab, name: str) -> None:
    """A boot that was cut off is done or undone, and what is told of the machine is so."""
    finished(lab, BOOT)
    assert ("running" in lab.remctl("alice", "control", name, "status")) == bool(places(lab, name))


def closed(lab: Lab, guest: str) -> None:
    """Neither the owner nor a stranger gets in, and both are told in words."""
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(lab.try_remctl, user, "control", guest, "status") for user in ("alice", "bob")]
        for done in (call.result() for call in asked):
            assert done.returncode != 0, done.stdout
            assert not done.stdout
            assert done.stderr.strip()
            assert "Traceback" not in done.stderr


def back(lab: Lab, guest: str) -> None:
    """The owner gets in again, soon; the stranger doesn't."""
    soon(lambda: "running" in lab.try_remctl("alice", "control", guest, "status").stdout, "service is back")
    assert lab.try_remctl("bob", "control", guest, "status").returncode == REFUSED
