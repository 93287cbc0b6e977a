"""A lab that ends, in whatever way, leaves nothing on this machine.

Runs last, since it ends the lab that the others use; its labs have no roles.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir

import pytest

from invirt.base.errors import Busy
from invirt_lab import cluster, host, lifecycle
from invirt_lab.site import CLUSTER
from tests.lab.conftest import KEEP
from tests.lab.users import eventually

pytestmark = pytest.mark.skipif(KEEP, reason="would end the lab that is to be kept")


def mounts() -> list[str]:
    """Where something is mounted on this machine, but for other tests' own folders."""
    places = (line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines())
    return sorted(place for place in places if not place.startswith(f"{gettempdir()}/"))


def namespaces(pids: Iterable[int]) -> set[str]:
    """The mount, PID and network namespaces that the processes are in."""
    found = set()
    for pid in pids:
        for kind in ("mnt", "pid", "net"):
            with suppress(OSError):  # it has ended
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
    return found


def everyone() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def cgroups() -> list[Path]:
    return [cgroup for cgroup in host.cgroups() if cgroup.exists()]


@pytest.fixture
def started() -> Iterator[subprocess.Popen[str]]:
    """The supervisor of a lab whose servers are booted."""
    cluster.down()
    lifecycle.prepare()
    before = mounts()
    with cluster.only_one() as lock:
        supervisor = cluster.start(lifecycle.images_of_servers(), lock)
        for name in CLUSTER:
            cluster.wait_booted(name)
        ours = namespaces(host.processes()) - namespaces([os.getpid()])
        assert len(ours) > 2 * len(CLUSTER)
        running = everyone()
        yield supervisor
    cluster.down()
    supervisor.wait(60)
    assert mounts() == before
    # A process that started since may have a new namespace with an old one's number.
    eventually(lambda: not [pid for pid in running if namespaces([pid]) & ours], "the last to be buried")
    assert not host.processes()
    assert not cgroups()


def gone() -> bool:
    """Whether every process of the lab has ended, without anyone sweeping."""
    return not host.processes()


def test_down(started: subprocess.Popen[str]) -> None:
    assert len(host.processes()) > len(CLUSTER)
    assert cgroups()
    os.kill(started.pid, signal.SIGKILL)


@pytest.mark.nightly
def test_the_outer_process_killed(started: subprocess.Popen[str]) -> None:
    started.kill()
    eventually(gone, "the servers to end with the lab's outer process")


@pytest.mark.nightly
def test_the_supervisor_killed(started: subprocess.Popen[str]) -> None:
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    eventually(gone, "the servers to end with their supervisor")


@pytest.mark.nightly
def test_whoever_brings_it_up_is_gone(started: subprocess.Popen[str]) -> None:
    assert started.stdin
    started.stdin.close()
    eventually(gone, "the servers to end when the lab was never said to be ready")


@pytest.mark.nightly
def test_a_server_killed_leaves_the_others(started: subprocess.Popen[str]) -> None:
    os.kill(cluster.leader("kdc"), signal.SIGKILL)
    eventually(lambda: not host.processes("kdc"), "all of the server to end")
    assert cluster.leader("client")
    started.kill()


@pytest.mark.nightly
def test_only_one(started: subprocess.Popen[str]) -> None:
    with pytest.raises(Busy), cluster.only_one():
        pass
    started.kill()


@pytest.mark.parametrize("line", ["booting", "apt-get install invirt-database-server"])
@pytest.mark.nightly
def test_scripts_lab_killed_on_its_way_up(line: str) -> None:
    cluster.down()
    before = mounts()
    up = subprocess.Popen([str(host.TREE / "scripts/lab"), "up"], stdout=subprocess.PIPE, text=True)
    assert up.stdout
    assert any(line in said for said in up.stdout)
    eventually(host.processes, "its first server")
    up.kill()
    up.wait(60)
    up.stdout.close()
    eventually(gone, "the servers to end with scripts/lab")
    cluster.down()
    assert mounts() == before
    assert not cgroups()
