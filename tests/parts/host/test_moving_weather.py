"""A guest moves slowly enough to have an amid: what ends, restarts or fails then, and never two of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from invirt.base.errors import Busy, InvirtError
from invirt.base.process import run
from invirt.host import loading
from invirt.host.moving import source, target, wire
from invirt.host.qemu import moving, qmp
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.qmp import Qmp, connect
from invirt.host.waiting import wait
from tests.writers import Watcher

from .conftest import prompt, shown
from .test_moving import DOMAIN, HERE, NAME, Target, other, typed

__all__ = ["other"]  # a fixture
SLOW = 8 << 20  # bytes a second: it takes several seconds
AMID = 2 << 20  # bytes that were sent when something happens


@contextmanager
def amid(other: Target, patch: pytest.MonkeyPatch) -> Iterator[Future[None]]:
    """The guest is being sent; at the end the move is over, one way or the other."""
    patch.setattr(moving, "FAST", SLOW)
    disk = os.stat(other.home.parent / f"volumes/{DOMAIN}_hda")
    with other.serving(), Watcher((disk.st_dev, disk.st_ino)), ThreadPoolExecutor() as pool:
        sending = pool.submit(source.send, NAME, HERE, 100)
        assert wait(lambda: _sent() > AMID or sending.done(), 100)
        assert not sending.done(), sending.exception()
        yield sending
        sending.exception(timeout=100)


def _sent() -> int:
    with Qmp(Guest(DOMAIN).qmp) as asked:
        return int(asked("query-migrate").get("ram", {}).get("transferred", 0))


def fails(sending: Future[None]) -> None:
    assert isinstance(sending.exception(timeout=100), InvirtError), sending


def say(text: str) -> None:
    """Type at the guest, and don't wait for what it says."""
    with connect(Guest(DOMAIN).console, 40) as console:
        console.sendall(b"\n")
        shown(console, b"guest# ")
        console.sendall(f"{text}\n".encode())
        time.sleep(0.5)


def gone(other: Target, qemu: Qemu) -> None:
    """It is off, here and there, and stays off, whatever comes late."""
    source.keep(NAME)
    assert wait(lambda: not qemu.running(DOMAIN), 60)
    with other.there():
        loading.hypervisor().destroy(DOMAIN)  # what undoing it does


def goes_on(other: Target) -> None:
    """It is here, the same as before, and not there."""
    source.keep(NAME)
    typed("here")
    with other.there():
        loading.hypervisor().destroy(DOMAIN)
    typed("still here")


def test_its_guest_powers_off(other: Target, qemu: Qemu, monkeypatch: pytest.MonkeyPatch) -> None:
    with amid(other, monkeypatch) as sending:
        say("echo o >/proc/sysrq-trigger")
        fails(sending)
    gone(other, qemu)


@pytest.mark.nightly
def test_its_guest_reboots(other: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """It moves all the same, and comes up there."""
    with amid(other, monkeypatch) as sending:
        say("echo b >/proc/sysrq-trigger")
        assert sending.exception(timeout=100) is None
    with other.there():
        assert prompt(DOMAIN, 3)  # one came with it, and one is of what was typed
        typed("there")


def kill(guest: Guest) -> None:
    process = qmp.pid(guest.qmp)
    assert process
    os.kill(process, signal.SIGKILL)


@pytest.mark.nightly
def test_its_qemu_crashes(other: Target, qemu: Qemu, monkeypatch: pytest.MonkeyPatch) -> None:
    with amid(other, monkeypatch) as sending:
        kill(Guest(DOMAIN))
        fails(sending)
    gone(other, qemu)


@pytest.mark.nightly
def test_the_qemu_that_waits_crashes(other: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    with amid(other, monkeypatch) as sending:
        with qmp.connect(Path(f"{other.home}/run/guests/{DOMAIN}/qmp"), 40) as asked:
            os.kill(qmp.peer(asked), signal.SIGKILL)
        fails(sending)
    goes_on(other)


@pytest.mark.nightly
def test_it_is_destroyed_by_hand(other: Target, qemu: Qemu, monkeypatch: pytest.MonkeyPatch) -> None:
    """By xm destroy: what its owner asks for waits for the move's end."""
    with amid(other, monkeypatch) as sending:
        qemu.destroy(DOMAIN)
        fails(sending)
    gone(other, qemu)


@pytest.mark.nightly
def test_the_target_can_write_nothing_down(other: Target) -> None:
    """Its disk is full: it is refused before anything is sent."""
    folder = other.home / "state"
    folder.mkdir(parents=True)
    run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)])
    try:
        with other.there():
            target.expect(NAME, HERE)
        (folder / "full").write_bytes(bytes(4096))
        with pytest.raises(OSError, match="No space left"):
            (folder / "more").write_bytes(bytes(65536))
        with pytest.raises(InvirtError), _taking(other):
            source.send(NAME, HERE, 60)
    finally:
        run(["umount", "--lazy", str(folder)])
    goes_on(other)


@contextmanager
def _taking(other: Target) -> Iterator[None]:
    """As Target.serving, without being told again whom to expect."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, "expect", lambda *_: None)
        with other.serving():
            yield


class Passes(threading.Thread):
    """Looks how often QEMU has begun to send what changed meanwhile; use it as a context manager."""

    most, throttled, over = 0, 0, False

    def run(self) -> None:
        while not self.over:
            with suppress(InvirtError), Qmp(Guest(DOMAIN).qmp) as qmp:
                found = qmp("query-migrate")
                self.most = max(self.most, found.get("ram", {}).get("dirty-sync-count", 0))
                self.throttled = max(self.throttled, found.get("cpu-throttle-percentage", 0))
            time.sleep(0.5)

    def __enter__(self) -> Passes:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over = True
        self.join(60)


@pytest.mark.nightly
def test_who_changes_too_fast_is_slowed_and_given_up_in_time(
    other: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it was sent once and more; it goes on here, and never hangs the move."""
    monkeypatch.setattr(moving, "FAST", 8 << 20)
    dirty = "dd if=/dev/urandom of=/changes bs=1M count=24 conv=notrunc 2>/dev/null"
    busy = f"while :; do {dirty}; done & echo busy-$((6*7))"
    with connect(Guest(DOMAIN).console, 40) as console:
        console.sendall(f"{busy}\n".encode())
        shown(console, b"busy-42")
    within, began = 20, time.monotonic()
    with other.serving(), Passes() as passes, pytest.raises(Busy, match="faster than it can be sent"):
        source.send(NAME, HERE, within)
    assert within <= time.monotonic() - began < within + 2 * wire.PATIENCE
    assert passes.most >= 2, "it was not even sent once"
    print(f"{passes.most} passes, slowed by {passes.throttled} %")
    typed("here")
    with other.there():
        assert not loading.hypervisor().running(DOMAIN)
