"""Limits of a running guest are measured: its disks in a real QEMU, its link with real packets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from invirt.base.abilities import Can
from invirt.base.errors import CommandFailed
from invirt.base.names import DomainName
from invirt.base.process import run
from invirt.database import roles
from invirt.host import limits
from invirt.host.domain import DomainConfig
from invirt.host.network import shaping
from invirt.host.protocols import Limits
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.qmp import Qmp
from invirt.host.waiting import wait
from tests.parts.owned import machine, owner
from tests.parts.postgres import Database
from tests.parts.realm import Realm, end

from .conftest import Inside

MIB = 1 << 20
HOST = "host1.invirt.test"
ROOT = Path(__file__).parent.parent.parent.parent
PACKET = b"x" * 1400
SECONDS = 1.5  # of each measurement


def written(guest: Guest, mebibytes: int) -> float:
    """Seconds that QEMU takes to write so much to the guest's disk, by requests of 1 MiB."""
    with Qmp(guest.qmp, 60) as qmp:
        (block,) = [one["qdev"] for one in qmp("query-block") if one.get("inserted")]
        begun = time.monotonic()
        for _ in range(mebibytes):
            said = qmp("human-monitor-command", **{"command-line": f'qemu-io -d {block} "write 0 1M"'})
            assert "rror" not in said, said
        return time.monotonic() - begun


def test_disks_are_as_slow_as_they_are_to_be(qemu: Qemu, remus: DomainConfig) -> None:
    """While it runs, again and again, and free again in the end."""
    qemu.create(remus)
    guest = Guest("d_remus")
    free = written(guest, 32)
    qemu.limit("d_remus", Limits(disk=8))
    written(guest, 8)  # what may come at once
    assert written(guest, 32) > 3 > free
    qemu.limit("d_remus", Limits(disk=32))
    written(guest, 32)
    assert written(guest, 32) < 3
    qemu.limit("d_remus", Limits(operations=2))
    written(guest, 2)
    begun = time.monotonic()
    for _ in range(6):
        written(guest, 1)
    assert time.monotonic() - begun > 2
    qemu.limit("d_remus", Limits())
    assert written(guest, 32) < 3


def megabits(sender: socket.socket, receiver: socket.socket, to: tuple[str, int]) -> float:
    """What arrives in a second of all that can be sent."""
    end, arrived = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        with suppress(BlockingIOError):
            for _ in range(20):
                sender.sendto(PACKET, to)
        with suppress(BlockingIOError):
            while True:
                arrived += len(receiver.recv(2048))
    return arrived * 8 / SECONDS / 1e6


Measure = Callable[[bool], float]


@pytest.fixture
def link(inside: Inside, inside_too: Inside) -> Measure:
    """Mbit/s from the host, through inv7, to its guest; or the other way (up)."""
    inside(run, ["ip", "link", "add", "inv7", "type", "veth", "peer", "name", "guest"])
    thread = inside_too(threading.get_native_id)
    inside(run, ["ip", "link", "set", "guest", "netns", f"/proc/{os.getpid()}/task/{thread}/ns/net"])
    sockets = []
    for where, name, address in ((inside, "inv7", "192.0.2.1"), (inside_too, "guest", "192.0.2.7")):
        where(run, ["ip", "address", "add", f"{address}/24", "dev", name])
        where(run, ["ip", "link", "set", name, "up"])
        made = where(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
        where(made.bind, (address, 7007))
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sockets.append(made)
    host, guest = sockets
    there, here = ("192.0.2.7", 7007), ("192.0.2.1", 7007)
    return lambda up: megabits(guest, host, here) if up else megabits(host, guest, there)


@pytest.mark.parametrize("up", [False, True], ids=["download", "upload"])
def test_a_link_carries_what_it_is_to(link: Measure, inside: Inside, up: bool) -> None:
    """One way, while the other is free; changed, and free again; what was of links that are gone goes."""
    free = link(up)
    assert free > 100
    inside(shaping.shape, "inv7", None if up else 20, 20 if up else None)
    inside(shaping.shape, "inv7", None if up else 20, 20 if up else None)
    link(up)  # what may come at once
    assert 10 < link(up) < 30 and link(not up) > 100
    inside(shaping.shape, "inv7", None if up else 40, 40 if up else None)
    link(up)
    assert 25 < link(up) < 60
    inside(shaping.shape, "inv7", None, None)
    assert link(up) > 100
    inside(shaping.shape, "inv7", 40, 40)
    inside(shaping.forget, {"inv7"})
    assert "invirt_limit_inv7" in inside(run, ["nft", "list", "tables"]).stdout
    inside(shaping.forget, set())
    assert inside(run, ["nft", "list", "tables"]).stdout == ""


class Guests:
    """A hypervisor, as far as limits ask it: one guest, and what it was held to."""

    can = frozenset({Can.CAP})

    def __init__(self) -> None:
        self.held: list[Limits] = []
        self.launched, self.deaf = "1", False

    def births(self) -> dict[DomainName, str]:
        return {DomainName("d_remus"): self.launched}

    def limit(self, name: DomainName, limits: Limits) -> None:
        if self.deaf:
            raise CommandFailed("QEMU doesn't answer")
        self.held.append(limits)


def test_each_launch_is_held_to_what_the_database_says(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, at each change and boot, and again after a while; what fails is tried again, and said once."""
    guests, keeper, said = Guests(), limits.Keeper(), list[str]()
    monkeypatch.setattr(limits.loading, "hypervisor", lambda: guests)
    monkeypatch.setattr(limits.vif, "links", dict)
    monkeypatch.setattr(limits.shaping, "forget", lambda links: None)
    monkeypatch.setattr(limits.log, "write", lambda text, *_, **__: said.append(text))
    database.execute("INSERT INTO types (name, virt) VALUES ('linux', 'pvh')")
    database.execute("INSERT INTO hosts (name, hostname, memory) VALUES ('host1', 'host1.invirt.test', 4096)")
    owner(database, "alice")
    machine(database, "remus")
    database.execute(
        "INSERT INTO reservations (machine_id, host_id, memory)"
        " SELECT machine_id, h.host_id, 128 FROM machines, hosts h"
    )
    with closing(database.connect("invirt_host")) as connected:
        keeper.update(connected)
        keeper.update(connected)
        assert guests.held == [Limits()]
        database.execute("INSERT INTO machine_limits SELECT machine_id, 'cap', 50 FROM machines")
        guests.deaf = True
        keeper.update(connected)
        keeper.update(connected)
        assert len(said) == 1 and "remus can't be held" in said[0]
        guests.deaf = False
        keeper.update(connected)
        keeper.update(connected)
        assert guests.held == [Limits(), Limits(cap=50)]
        guests.launched = "2"
        keeper.update(connected)
        assert guests.held == [Limits(), Limits(cap=50), Limits(cap=50)]
        keeper.next = 0.0
        keeper.update(connected)
        assert len(guests.held) == 4


def test_the_program_holds_a_real_guest(
    database: Database,
    realm: Realm,
    qemu: Qemu,
    remus: DomainConfig,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As its unit runs it: what is written in the database is QEMU's a moment later."""
    name = database.name
    site = f"database: {{hostname: {database.socket}, name: {name}}}"
    text = (home / "invirt.yaml").read_text()
    (home / "invirt.yaml").write_text(text.replace("database: {hostname: db.invirt.test}", site))
    monkeypatch.setenv("INVIRT_CONFIG", str(home / "invirt.yaml"))
    monkeypatch.setenv("KRB5_CLIENT_KTNAME", str(realm.keytab(f"host/{HOST}")))
    database.execute(roles.server("host", f"invirt_host.{HOST}"), user="postgres")
    database.execute("INSERT INTO types (name, virt) VALUES ('linux', 'pvh')")
    database.execute("INSERT INTO hosts (name, hostname, memory) VALUES ('host1', %s, 4096)", (HOST,))
    owner(database, "alice")
    machine(database, "remus")
    database.execute(
        "INSERT INTO reservations (machine_id, host_id, memory)"
        " SELECT machine_id, h.host_id, 128 FROM machines, hosts h"
    )
    qemu.create(remus)
    argv = [sys.executable, str(ROOT / "invirt-host/sbin/invirt-host-observer"), HOST, "--only", "limits"]
    program = subprocess.Popen(argv)
    try:
        for amount in (8, 20):
            database.execute(
                "INSERT INTO machine_limits SELECT machine_id, 'disk', %s FROM machines"
                " ON CONFLICT (machine_id, resource) DO UPDATE SET amount = excluded.amount",
                (amount,),
            )
            assert wait(lambda wanted=amount: throttled("d_remus") == [wanted * MIB], 20), program.poll()
    finally:
        end(program)
        database.execute(f'DROP ROLE "invirt_host.{HOST}"', user="postgres")


def throttled(name: str) -> list[int]:
    """What QEMU itself says of its disks, in bytes a second."""
    with Qmp(Guest(DomainName(name)).qmp) as qmp:
        return [one["inserted"]["bps"] for one in qmp("query-block") if one.get("inserted")]
