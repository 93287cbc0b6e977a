"""A machine moves, and everything that has a part in it dies amid that; see tests.lab.moving."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from invirt_lab import cluster, console, roles
from invirt_lab.site import HOSTS, REALM, SERVERS
from tests.lab.faults import killed, places
from tests.lab.moving import Move, disk, slow
from tests.lab.users import Done, Lab, eventually
from tests.writers import Watcher

BUSY = 5


@pytest.fixture(scope="module")
def administrator(lab: Lab) -> Iterator[str]:
    """Bob, while moves are slow."""
    lab.admin("administrator", "add", f"bob@{REALM}")
    with slow(lab):
        yield "bob"
    lab.admin("administrator", "remove", f"bob@{REALM}")


@pytest.fixture
def move(lab: Lab, machine: Callable[..., str], administrator: str) -> Move:
    """Of a machine that has booted."""
    name = machine()
    lab.remctl("alice", "control", name, "create")
    console.ask(name, "mind=keeps")
    return Move(lab, name, administrator)


def stays(lab: Lab, move: Move, *where: str) -> None:
    """It is the same guest, on one of these hosts."""
    assert places(lab, move.name)[0] in where
    assert console.ask(move.name, "echo $mind").strip().endswith("keeps")


def test_its_owner_can_end_it_only_afterwards_and_its_guest_at_any_time(lab: Lab, move: Move) -> None:
    """A destroy is refused with the reason; a guest that powers off amid its move is off, for good."""
    with move.amid() as call:
        done = lab.try_remctl("alice", "control", move.name, "destroy")
        assert done.returncode == BUSY and "migrate" in done.stderr
        with ThreadPoolExecutor() as pool:
            pool.submit(console.ask, move.name, "poweroff -f", 20)
            assert call.result().returncode != 0
        eventually(lambda: not places(lab, move.name), "it to be off")
        assert "is off" in lab.remctl("alice", "control", move.name, "status")


@pytest.mark.nightly
def test_the_target_dies(lab: Lab, move: Move) -> None:
    with move.amid() as call, killed(move.there):
        assert call.result().returncode != 0
        assert console.ask(move.name, "echo $mind").strip().endswith("keeps")
    stays(lab, move, move.here)


@pytest.mark.nightly
def test_the_source_dies(lab: Lab, move: Move) -> None:
    """With the guest, which is booted again once it is back."""
    with move.amid(), killed(move.here):
        pass


@pytest.mark.nightly
@pytest.mark.parametrize("server", ["remote", "db"])
def test_a_server_dies(lab: Lab, move: Move, server: str) -> None:
    """The hosts go on by themselves, and whoever is back finds out what became of it."""
    with move.amid(), killed(server):
        pass
    stays(lab, move, move.here, move.there)


@pytest.mark.nightly
@pytest.mark.parametrize("which", ["here", "there"])
def test_the_network_goes(lab: Lab, move: Move, which: str) -> None:
    with move.amid() as call, cluster.cut_off(getattr(move, which)):
        assert call.result().returncode != 0
    stays(lab, move, move.here, move.there)


@pytest.mark.nightly
def test_its_guest_reboots(lab: Lab, move: Move) -> None:
    with move.amid() as call:
        with ThreadPoolExecutor() as pool:
            pool.submit(console.ask, move.name, "reboot -f", 5)
        assert call.result().returncode == 0, call.result()
        console.wait_for_prompt(move.name)
    assert places(lab, move.name) == [move.there]


@pytest.mark.nightly
@pytest.mark.parametrize("which", ["here", "there"])
def test_a_qemu_crashes(lab: Lab, move: Move, which: str) -> None:
    with move.amid() as call:
        unit = f"invirt-guest@d_{move.name}.service"
        lab.on(getattr(move, which), "systemctl", "kill", "--signal=KILL", unit)
        assert call.result().returncode != 0
    if which == "there":
        stays(lab, move, move.here)


@pytest.mark.nightly
def test_the_targets_own_disk_is_full(lab: Lab, move: Move) -> None:
    """It can write nothing down, and refuses; the guest goes on."""
    full = "mount -t tmpfs -o size=4k tmpfs /var/lib/invirt/moves"
    lab.on(move.there, "sh", "-c", f"mkdir -p /var/lib/invirt/moves && {full} && : >/var/lib/invirt/moves/x")
    lab.on(move.there, "sh", "-c", "head -c 8k /dev/zero >/var/lib/invirt/moves/x", check=False)
    try:
        assert move.call().returncode != 0
    finally:
        lab.on(move.there, "umount", "/var/lib/invirt/moves")
    move.well()
    stays(lab, move, move.here)


@pytest.mark.nightly
def test_two_remotes_move_it_at_once(lab: Lab, move: Move) -> None:
    """One does; the other says who has it."""
    roles.install_spare("remote2")

    def call(remote: str) -> Done:
        words = ("admin", "machine", "migrate", move.name, move.there)
        server = SERVERS[remote].fqdn
        return cluster.as_user(move.administrator, "remctl", server, *words, timeout=180, check=False)

    with ThreadPoolExecutor() as pool, Watcher(disk(lab, move.name)):
        done = sorted(pool.map(call, ("remote", "remote2")), key=lambda one: one.returncode)
    assert [one.returncode for one in done] == [0, BUSY], done
    move.well()
    stays(lab, move, move.there)


@pytest.mark.nightly
def test_what_lies_on_one_host_goes_along_while_it_is_off(lab: Lab, move: Move) -> None:
    """A disk that only one host sees is copied, by --off; the live move is refused, and offers that."""
    name, old = "local", "SELECT count(*) FROM trash WHERE owner_id IS NULL AND name = 'local'"
    for host in HOSTS:
        lab.on(host, "mkdir", "-p", f"/var/lib/own-{host}")
        place = ("--driver", "file", "--place", f"/var/lib/own-{host}", "--host", host)
        lab.admin("pool", "add", f"own-{host}", *place)
    lab.remctl("alice", "machine", "create", name, "--memory", "128", "--disk", "1", "--pool", "own-host1")
    lab.remctl("alice", "control", name, "create")
    console.ask(name, "echo kept >/dev/vda; sync")
    local = Move(lab, name, move.administrator)
    refused = local.call()
    assert "no other host than host1 sees the pool own-host1" in refused.stderr and "--off" in refused.stderr
    assert lab.sql(old) == "0\n"
    done = local.call("--off")
    assert done.returncode == 0, done
    assert places(lab, name) == ["host2"] and lab.sql(old) == "1\n"
    assert "kept" in console.ask(name, "head -c 4 /dev/vda")
    local.well()
