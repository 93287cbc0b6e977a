"""What a host sees of its guests, and a QEMU that its guest has taken over."""

from __future__ import annotations

import fcntl
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from invirt.base.names import DomainName
from invirt.host import paths
from invirt.host.domain import DomainConfig
from invirt.host.fake import FakeHypervisor
from invirt.host.observer import columns
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.watch import MOST, RATE, QemuWatch
from invirt.host.watching import Polled, Seen

D_REMUS = DomainName("d_remus")


class Taken:
    """A process that holds the lock of d_remus, and listens as its QEMU would."""

    def __init__(self, stack: ExitStack) -> None:
        self.guest = Guest(D_REMUS)
        paths.write(self.guest.config_file, json.dumps({"name": "d_remus", "machine": 17}))
        paths.write(self.guest.lock, "1 1")
        lock = stack.enter_context(self.guest.lock.open())
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        self.listening.bind(str(self.guest.events))
        self.listening.listen(1)
        self.watch = QemuWatch()
        self.watch.look()
        self.talking, _ = self.listening.accept()
        stack.enter_context(self.talking)

    def says(self, *lines: bytes) -> Seen:
        """What is seen after QEMU has said that."""
        self.talking.sendall(b"".join(line + b"\n" for line in lines))
        self.watch.wait(0.2)
        (seen,) = self.watch.look()
        return seen


@pytest.fixture
def taken(state: Path) -> Iterator[Taken]:
    """Beside whatever else runs."""
    with ExitStack() as stack:
        yield Taken(stack)


def test_events_tell_what_a_guest_does(taken: Taken) -> None:
    seen = taken.says(
        b'{"QMP": {}}', b'{"return": {}}', b'{"id": "status", "return": {"status": "io-error"}}'
    )
    assert (seen.name, seen.state, seen.machine) == ("d_remus", "paused", 17)
    assert taken.says(b'{"event": "RESUME"}').state == "running"
    assert taken.says(b'{"event": "STOP"}').state == "paused"


def test_a_guest_that_went_down_and_was_reset_is_up(taken: Taken) -> None:
    taken.says(b'{"event": "SHUTDOWN"}')
    assert taken.watch.events[D_REMUS].down
    taken.says(b'{"event": "RESET"}')
    assert not taken.watch.events[D_REMUS].down


@pytest.mark.parametrize(
    "line", [b"", b"\xff\xfe", b"[" * 9000, b"[]", b"7", b'{"event": ["STOP"]}', b'{"event": {}}',
             b'{"id": "status", "return": {"status": [1]}}', b'{"id": ["status"], "return": 1}']
)  # fmt: skip
def test_nonsense_changes_nothing_that_matters(taken: Taken, line: bytes) -> None:
    assert taken.says(line, b'{"event": "STOP"}').state == "paused"


def test_a_flood_is_read_a_few_times_a_second(taken: Taken) -> None:
    """And a line without an end is not kept."""
    taken.talking.setblocking(False)
    reads, begun = 0, time.monotonic()
    for _ in range(4):
        with pytest.raises(BlockingIOError):
            while True:
                taken.talking.send(b"x" * MOST)
        taken.watch.wait(1 / RATE)
        reads += 1
    assert time.monotonic() - begun >= reads / RATE
    assert len(taken.watch.events[D_REMUS].rest) <= MOST


def test_one_that_hangs_up_and_lives_runs(taken: Taken) -> None:
    """Its lock is what counts."""
    taken.says(b'{"event": "SHUTDOWN"}')
    taken.talking.close()
    taken.watch.wait(1)
    assert [seen.state for seen in taken.watch.look()] == ["running"]


@pytest.mark.parametrize(
    ("written", "why"), [("", "crash"), ("poweroff", "poweroff"), ("killed", "killed"), ("host", "host")]
)
def test_why_a_guest_is_off(state: Path, written: str, why: str) -> None:
    guest, watch = Guest(D_REMUS), QemuWatch()
    paths.write(guest.config_file, DomainConfig({"name": "d_remus", "machine": 17}).json())
    assert [seen.why for seen in watch.look()] == ["host"]  # it was not launched since the host's boot
    paths.write(guest.lock, "1 1")
    [before] = watch.look()
    assert (before.state, before.why) == ("off", "crash")
    if written:
        paths.write(guest.ended, written)
    assert watch.look() == [Seen(D_REMUS, "off", before.since, why, 17)]


def test_a_hypervisor_that_tells_nothing_is_asked(state: Path) -> None:
    hypervisor = FakeHypervisor()
    watch = Polled(hypervisor)
    hypervisor.create(DomainConfig({"name": "d_remus", "memory": 64}))
    [begun] = watch.look()
    assert (begun.state, begun.why) == ("running", "")
    assert watch.look() == [begun]
    hypervisor.destroy(D_REMUS)
    [ended] = watch.look()
    assert (ended.state, ended.why) == ("off", "poweroff") and ended.since >= begun.since


def test_what_is_written_has_ages_alone(state: Path) -> None:
    """A host's clock is not the database's; one that was set back makes nothing younger than now."""
    told = columns(
        [Seen(D_REMUS, "running", time.time() - 40, machine=17), Seen(D_REMUS, "off", 4e9, "crash")]
    )
    assert told["names"] == ["remus", "remus"]
    assert told["machines"] == [17, None]
    assert 40 <= told["ages"][0] < 400 and told["ages"][1] == 0
    assert told["whys"] == [None, "crash"]
