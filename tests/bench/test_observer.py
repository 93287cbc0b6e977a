"""What the observer of a host with many guests costs, beside QEMUs that do nothing."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from invirt.base.names import DomainName
from invirt.host import paths
from invirt.host.domain import DomainConfig
from invirt.host.qemu.guest import Guest
from tests.bench import cpu
from tests.parts.postgres import Database
from tests.parts.realm import Realm
from tests.results import best

pytestmark = pytest.mark.nightly
ROOT = Path(__file__).parents[2]
GUESTS = 200
CORE, MEMORY = 0.01, 40.0  # of one core; MiB
MEASURED = 10.0  # seconds
HOST = "host1.invirt.test"
SITE = f"""
CREATE ROLE "invirt_host.{HOST}" LOGIN IN ROLE invirt_host;
INSERT INTO hosts (name, hostname, memory) VALUES ('host1', '{HOST}', 1000000);
INSERT INTO types (name, virt, kernel) VALUES ('linux', 'pvh', '/boot/vmlinuz');
INSERT INTO owners (name, memory, disk, machines) VALUES ('alice', 1000000, 10, 1000);
INSERT INTO machines (name, owner_id, type_id, memory)
    SELECT 'm' || n, owner_id, type_id, 64 FROM owners, types, generate_series(1, {GUESTS}) n;
INSERT INTO reservations (machine_id, host_id, memory) SELECT machine_id, host_id, 64 FROM machines m, hosts h
"""
SITE = SITE.replace("host_id, 64 FROM machines m", "h.host_id, 64 FROM machines m")
QEMU = "qemu-system-x86_64 -machine none -nodefaults -display none -mon chardev=events,mode=control -chardev"


def _begin(name: str, number: int) -> subprocess.Popen[bytes]:
    """A QEMU without a machine, that holds its guest's lock and tells its events."""
    guest = Guest(DomainName(f"d_{name}"))
    paths.write(guest.config_file, DomainConfig({"name": guest.name, "machine": number}).json())
    paths.make(guest.lock.parent)
    lock = os.open(guest.lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    socket = f"socket,id=events,path={guest.events},server=on,wait=off"
    begun = subprocess.Popen([*QEMU.split(), socket], pass_fds=[lock], stdin=subprocess.DEVNULL)
    os.close(lock)
    return begun


@pytest.fixture
def observer(
    database: Database,
    realm: Realm,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:
    """The process, once it has told of all guests."""
    folder = tmp_path_factory.getbasetemp().parent / f"o{os.getpid()}"  # a socket's path must be short
    for variable in ("INVIRT_RUN", "INVIRT_STATE"):
        monkeypatch.setenv(variable, str(folder))
    monkeypatch.setenv("KRB5_CLIENT_KTNAME", str(realm.keytab(f"host/{HOST}")))
    database.config.write_text(database.config.read_text() + "hypervisor: {driver: qemu}\n")
    database.execute(SITE, user="postgres")
    with ExitStack() as stack:
        for name, number in database.execute("SELECT name, machine_id FROM machines"):
            stack.callback(_end, _begin(str(name), int(str(number))))
        program = [
            sys.executable,
            str(ROOT / "invirt-host/sbin/invirt-host-observer"),
            HOST,
            "--only",
            "guests",
        ]
        begun = subprocess.Popen(program)
        stack.callback(_end, begun)
        deadline = time.monotonic() + 60
        while database.execute("SELECT count(*) FROM guest_states WHERE state <> 'off'") != [(GUESTS,)]:
            assert begun.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        yield begun.pid
    database.execute(f'DROP ROLE "invirt_host.{HOST}"', user="postgres")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def test_its_cost(observer: int) -> None:
    """It looks once a second, signs each five and asks for disks once a minute."""

    def core() -> float:
        before, began = cpu.used(observer), time.monotonic()
        time.sleep(MEASURED)
        return (cpu.used(observer) - before) / (time.monotonic() - began)

    best(f"the observer of {GUESTS} guests, of a core", core, CORE)
    rss = next(line for line in Path(f"/proc/{observer}/status").read_text().splitlines() if "VmRSS" in line)
    best(f"the observer of {GUESTS} guests, MiB", lambda: int(rss.split()[1]) / 1024, MEMORY)
