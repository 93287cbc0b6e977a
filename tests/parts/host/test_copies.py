"""A disk goes from one host to another over TLS: whole and as sparse, or not at all."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from invirt import config
from invirt.base.errors import Busy, CommandFailed, Unreachable
from invirt.base.names import MachineName
from invirt.base.process import run
from invirt.host import jobs, loading, paths
from invirt.host.moving import disks, target, wire
from invirt.host.storage import pools
from invirt.host.storage.files import FileStorage

from .test_moving import CERTIFICATE, HERE

NAME, DISK, MIB = MachineName("remus"), "hda", 1 << 20
ISSUED: list[tuple[int, int]] = []


class Hosts:
    """Two hosts in one process, a folder each; the thread that serves is on the second one."""

    def __init__(self, home: Path) -> None:
        self.home, self.serving = home, threading.local()
        self.old, self.new = home / "old", home / "new"
        self.source = FileStorage(str(self.old))
        self.source.create(NAME, DISK, 1)
        self.content = os.urandom(3 * MIB)
        self.at = 700 * MIB + 4096
        with open(self.source.path(NAME, DISK), "r+b") as file:
            file.seek(self.at)
            file.write(self.content)

    def storage(self, pool: str | None) -> FileStorage:
        return FileStorage(str(self.new)) if pool == "new" else self.source

    def expect(self, peer: str = HERE) -> None:
        disks.expect(NAME, DISK, 1, peer, "new")

    @contextmanager
    def there(self) -> Iterator[None]:
        """While it lasts, connections are taken."""
        with socket.create_server((HERE, config.hypervisor.move_port)) as listening:
            listening.settimeout(60)

            def serve() -> None:
                target.serve(listening.accept()[0])

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            yield
            thread.join(timeout=60)
            assert not thread.is_alive()

    def send(self) -> None:
        with self.there():
            disks.send(NAME, DISK, "old", HERE, lambda *told: ISSUED.append(told))

    def copy(self) -> Path:
        return Path(self.storage("new").path(NAME, DISK))

    def is_whole(self) -> bool:
        run(["cmp", self.source.path(NAME, DISK), str(self.copy())])
        return 3 * MIB <= self.copy().stat().st_blocks * 512 < 8 * MIB


@pytest.fixture
def hosts(home: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    run(["sh", "-c", CERTIFICATE, str(home), HERE])
    with socket.create_server((HERE, 0)) as free:
        port = free.getsockname()[1]
    file = home / "invirt.yaml"
    text = file.read_text().replace("driver: qemu", f"driver: qemu\n  move_port: {port}")
    file.write_text(text + f"console: {{ca: {home}/ca.pem, credentials: {home}/server.pem}}\n")
    config.reload()
    ISSUED.clear()
    made = Hosts(home)
    monkeypatch.setattr(pools, "storage", made.storage)
    # Both take the machine's lock, each on its own host.
    monkeypatch.setattr(target.disks.tokens, "locked", lambda name: nullcontext())
    return made


def test_it_goes_whole_and_sparse(hosts: Hosts) -> None:
    hosts.expect()
    hosts.send()
    assert hosts.is_whole()
    assert ISSUED[-1][0] == 100 and ISSUED[0][0] < 50
    hosts.send()  # again: it is there
    assert len(ISSUED) == 12, "it was sent once more"


def test_what_is_cut_off_is_done_again(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, sent = wire.Wire.send, list[bytes]()

    def send(self: wire.Wire, kind: bytes, content: bytes = b"") -> None:
        sent.append(kind)
        if sent.count(wire.PIECE) == 5:
            self.connection.close()
            raise Unreachable("the network is gone")
        usual(self, kind, content)

    hosts.expect()
    with monkeypatch.context() as patch:
        patch.setattr(wire.Wire, "send", send)
        with pytest.raises(Unreachable, match="the network is gone"):
            hosts.send()
    assert not _is_same(hosts)
    hosts.send()
    assert hosts.is_whole()


def _is_same(hosts: Hosts) -> bool:
    with hosts.copy().open("rb") as file:
        file.seek(hosts.at)
        return file.read(len(hosts.content)) == hosts.content


def test_only_what_is_expected_is_taken(hosts: Hosts) -> None:
    with pytest.raises(CommandFailed, match="is not expected from localhost"):
        hosts.send()
    hosts.expect("another.example.org")
    with pytest.raises(CommandFailed, match="is not expected from localhost"):
        hosts.send()
    hosts.expect()
    disks.forget(NAME, DISK)
    with pytest.raises(CommandFailed, match="is not expected"):
        hosts.send()


def test_nothing_is_written_outside(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor to a disk of another size."""
    hosts.expect()
    for bad in ((1 << 30) - 1, 1 << 30, 1 << 63, (1 << 64) - 1):
        monkeypatch.setattr(disks, "pieces", lambda *_, at=bad: iter([(at, b"ab")]))
        with pytest.raises(CommandFailed, match="no part of the disk"):
            hosts.send()
    os.truncate(hosts.source.path(NAME, DISK), 2 << 30)
    with pytest.raises(CommandFailed, match="2147483648 bytes there, and 1073741824 here"):
        hosts.send()
    assert hosts.copy().stat().st_size == 1 << 30


@pytest.fixture
def small(hosts: Hosts) -> Iterator[Hosts]:
    """Where it shall go there are two MiB."""
    hosts.new.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", str(hosts.new)])
    hosts.expect()
    yield hosts
    run(["umount", str(hosts.new)])


def test_where_there_is_no_room_nothing_is_sent(small: Hosts) -> None:
    with pytest.raises(CommandFailed, match="3 MiB are to be copied, and 1 MiB|and 2 are free"):
        small.send()
    assert ISSUED == []


def test_a_disk_that_fills_up_is_told(small: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "_used", lambda descriptor: 0)
    with pytest.raises(CommandFailed, match="the copy can't be written: No space left on device"):
        small.send()


def test_no_disk_of_a_running_guest_goes(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts.expect()
    usual = loading.hypervisor()
    monkeypatch.setattr(type(usual), "running", lambda *_: True)
    with pytest.raises(Busy, match="is running"):
        disks.send(NAME, DISK, "old", HERE, lambda *_: None)


def test_how_far_it_has_come_is_told_by_its_job(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "TOLD", 0.0)
    paths.make(paths.run() / "jobs")
    (paths.run() / "jobs/7").touch()
    assert jobs.status(7) == {"token": 7, "state": "running"}
    jobs.reporter(7)(40, 112)
    assert jobs.status(7) == {"token": 7, "state": "running", "percent": 40, "rate": 112}
