"""The real commands of the hosts, and requesters that are really killed, at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from invirt import config
from invirt.base.errors import Denied, InvirtError, NotFound
from invirt.remote.operations import Actor, Operation, recovery, submit
from tests.parts.operations.conftest import ALICE, HOST1, HOST2, POINTS, Site
from tests.parts.operations.processes import ROOT, ProcessHosts

SEED = 20
KILLS = 24
OTHERS = (  # sessions of remote servers' but this process's own
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND usename = 'invirt_remote' AND pid <> %s"
)
TREE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("create", {"memory": 64, "disk": 1}),
    ("disk-create", {"disk": "hdb", "size": 1}),
    ("boot", {}),
    ("destroy", {}),
    ("resize", {"memory": 96, "disks": {"hda": 2}}),
    ("rename", {"name": "other"}),
)


@pytest.fixture
def hosts(site: Site, tmp_path: Path) -> ProcessHosts:
    """The commands of two hosts, which share their volumes."""
    with site.database.config.open("a") as file:
        file.write("hypervisor: {driver: fake}\n")
        file.write(f"storage: {{driver: fake, directory: {tmp_path}/volumes}}\n")
    config.reload()
    return ProcessHosts(tmp_path / "hosts")


def ask(site: Site, hosts: ProcessHosts, kind: str, name: str, wants: dict[str, Any]) -> Operation:
    return submit(kind, Actor(ALICE), name, wants, hosts=hosts, connection=site.remote)


def check(site: Site, hosts: ProcessHosts, folder: Path) -> None:
    """Guests and volumes are exactly those of the rows."""
    assert site.rows("SELECT kind, state, error FROM operations WHERE finished_at IS NULL") == []
    assert {guest: host for host, guest in hosts.running()} == {
        name: host for name, host in site.homes().items() if host
    }
    disks = site.rows("SELECT m.name, d.name, d.size FROM disks d JOIN machines m USING (machine_id)")
    volumes = folder.glob("volumes/d_*")
    assert {f"d_{name}_{disk}": size for name, disk, size in disks} == {
        file.name: file.stat().st_size >> 30 for file in volumes
    }


@pytest.mark.nightly
def test_every_kind_on_the_hosts_own_commands(site: Site, hosts: ProcessHosts, tmp_path: Path) -> None:
    for kind, wants in TREE:
        assert ask(site, hosts, kind, "remus", wants).state == "done"
        check(site, hosts, tmp_path)
    more: list[tuple[str, dict[str, Any]]] = [
        ("disk-rename", {"disk": "hdb", "name": "hdc"}),
        ("disk-resize", {"disk": "hdc", "size": 3}),
        ("disk-remove", {"disk": "hdc"}),
        ("boot", {}),
        ("reboot", {}),
        ("shutdown", {}),
        ("delete", {}),
    ]
    for kind, wants in more:
        assert ask(site, hosts, kind, "other", wants).state == "done"
        check(site, hosts, tmp_path)
    assert len(list(tmp_path.glob("volumes/trash/*"))) == 2


def test_a_host_boots_only_what_is_reserved_on_it(site: Site, hosts: ProcessHosts, tmp_path: Path) -> None:
    """By remote or by hand; where it is reserved it is booted by hand, too."""
    ask(site, hosts, "create", "remus", {"memory": 64, "disk": 1})
    for host in (HOST1, HOST2):
        with pytest.raises(Denied, match="no memory is reserved for machine remus on this host"):
            [(token,)] = site.rows("SELECT nextval('operation_token')")
            hosts.call(host, "domain", "create", "remus", str(token), timeout=60)
    ask(site, hosts, "boot", "remus", {})
    home = site.homes()["remus"]
    for host in (HOST1, HOST2):
        xm = [sys.executable, str(ROOT / "invirt-host/sbin/xm"), "create", "invirt-database"]
        by_hand = subprocess.run(
            [*xm, "machine_name=remus"], env=hosts.environment(host), check=False, timeout=60
        )
        assert by_hand.returncode == (0 if host == home else Denied.exit_code)
    check(site, hosts, tmp_path)


def test_a_host_that_fails_is_undone(site: Site, hosts: ProcessHosts, tmp_path: Path) -> None:
    faults = tmp_path / "hosts" / "host1.invirt.test" / "fake" / "faults"
    faults.mkdir(parents=True)
    ask(site, hosts, "create", "remus", {"memory": 64, "disk": 1})
    (faults / "create").write_text("after fail once")
    with pytest.raises(InvirtError, match="create failed as it was told to"):
        ask(site, hosts, "boot", "remus", {})
    check(site, hosts, tmp_path)


def test_a_host_command_that_is_killed_is_undone(site: Site, hosts: ProcessHosts, tmp_path: Path) -> None:
    faults = tmp_path / "hosts" / "host1.invirt.test" / "fake" / "faults"
    faults.mkdir(parents=True)
    ask(site, hosts, "create", "remus", {"memory": 64, "disk": 1})
    for when in ("before", "after"):
        (faults / "create").write_text(f"{when} kill once")
        with pytest.raises(InvirtError):
            ask(site, hosts, "boot", "remus", {})
        check(site, hosts, tmp_path)


@pytest.mark.nightly
def test_requesters_are_killed_at_any_moment(
    site: Site, hosts: ProcessHosts, tmp_path: Path, record: Any
) -> None:
    """kill -9, then only what the service does; leases need not end, since the process is gone."""
    chance = random.Random(SEED)
    for number in range(KILLS):
        kind, wants = TREE[number % len(TREE)]
        name = f"m{number // len(TREE)}"
        wants = {**wants, "name": f"{name}-new"} if kind == "rename" else wants
        killed(tmp_path / "hosts", kind, name, wants, after=chance.uniform(0.15, 1.2))
        forgotten(site)
        recovery.run(site.remote, hosts)
        check(site, hosts, tmp_path)
        try:
            ask(site, hosts, kind, name, wants)
        except InvirtError as error:  # it was done before it was killed
            assert error.exit_code in (2, 3, 5), error
        check(site, hosts, tmp_path)
    assert sorted(name for name in site.homes()) == [f"m{n}-new" for n in range(KILLS // len(TREE))]
    record(POINTS, "killed with -9", KILLS)


def forgotten(site: Site) -> None:
    """Wait until the database has ended the session of the one that was killed, and what was sent in it.

    Until then a row may be locked, or committed yet; the timer would find that at its next turn.
    """
    deadline = time.monotonic() + 20
    while site.rows(OTHERS, site.remote.info.backend_pid):
        assert time.monotonic() < deadline, "the database still works for one who was killed"
        time.sleep(0.01)


def killed(folder: Path, kind: str, name: str, wants: dict[str, Any], after: float) -> None:
    """Start a requester, and kill it after some seconds, unless it has ended before."""
    program = [sys.executable, "-m", "tests.parts.operations.processes"]
    child = subprocess.Popen(
        [*program, str(folder), kind, name, json.dumps(wants)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    time.sleep(after)
    os.kill(child.pid, signal.SIGKILL)
    child.wait(timeout=20)


def test_a_pool_of_one_hosts_own(site: Site, hosts: ProcessHosts, tmp_path: Path) -> None:
    """What a host may do where follows from the rows, which it reads itself."""
    site.rows("INSERT INTO pools (name, driver, place, everywhere) VALUES ('own', 'file', %s, false)",
              f"{tmp_path}/own")  # fmt: skip
    site.rows("INSERT INTO pool_hosts SELECT pool_id, 2 FROM pools WHERE name = 'own'")
    ask(site, hosts, "create", "remus", {"memory": 64, "disk": 1, "pool": "own"})
    ask(site, hosts, "boot", "remus", {})
    assert site.homes() == {"remus": HOST2}
    assert [file.name for file in (tmp_path / "own").iterdir()] == ["d_remus_hda"]
    with pytest.raises(NotFound, match="this host doesn't see the pool own"):
        hosts.call(HOST1, "volume", "list", "--pool", "own", timeout=30)
    configured = (tmp_path / "hosts" / HOST2 / "fake/domains/d_remus").read_text()
    assert f"target={tmp_path}/own/d_remus_hda" in configured
