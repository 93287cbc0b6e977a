"""What a host sees of guests in real QEMU processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from invirt.host.domain import DomainConfig
from invirt.host.qemu import qmp
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.watch import QemuWatch
from invirt.host.waiting import wait
from invirt.host.watching import Seen

from .conftest import prompt


class Looker:
    """Waits for what is told of the one guest."""

    def __init__(self) -> None:
        self.watch = QemuWatch()
        self.seen: Seen | None = None

    def sees(self, state: str, why: str = "") -> bool:
        """Whether it comes to be seen so."""

        def so() -> bool:
            [self.seen] = self.watch.look()
            if (self.seen.state, self.seen.why) == (state, why):
                return True
            self.watch.wait(0.5)
            return False

        return wait(so, 60)

    def ends(self) -> None:
        """As with its process: QEMU talks to one at a time."""
        for events in self.watch.events.values():
            events.socket.close()


@pytest.fixture
def looker(qemu: Qemu, remus: DomainConfig) -> Looker:
    """A guest runs, and is seen."""
    looker = Looker()
    qemu.create(remus)
    assert looker.sees("running")
    return looker


def test_a_guest_that_stops_and_goes_on(qemu: Qemu, looker: Looker) -> None:
    """Also by one who looks for the first time."""
    assert looker.seen and looker.seen.machine == 17
    begun = looker.seen.since
    with qmp.Qmp(Guest("d_remus").qmp) as commands:  # beside who listens
        commands("stop")
        assert looker.sees("paused")
        looker.ends()
        again = Looker()
        assert again.sees("paused")
        commands("cont")
    assert again.sees("running") and again.seen and again.seen.since == begun


def _kill(qemu: Qemu) -> None:
    pid = qmp.pid(Guest("d_remus").qmp)
    assert pid
    os.kill(pid, signal.SIGKILL)


def _quit(qemu: Qemu) -> None:
    """As a guest that powers off; no unit is there to write it down."""
    with qmp.Qmp(Guest("d_remus").qmp) as commands:
        commands("quit")


@pytest.mark.parametrize(
    ("end", "why"), [(_kill, "crash"), (_quit, "poweroff"), (lambda qemu: qemu.destroy("d_remus"), "killed")]
)
def test_why_it_ended(qemu: Qemu, looker: Looker, end: Callable[[Qemu], None], why: str) -> None:
    end(qemu)
    assert looker.sees("off", why)
    assert qemu.ended() == {"d_remus": "poweroff" if why == "killed" else "crash"}


@pytest.mark.nightly
def test_a_reboot_is_no_end(qemu: Qemu, remus: DomainConfig, looker: Looker) -> None:
    assert prompt("d_remus")
    qemu.reboot("d_remus")
    assert prompt("d_remus", times=2)
    assert looker.sees("running")
    _kill(qemu)
    assert looker.sees("off", "crash")  # what was said before the reset counts no more


def test_one_without_events_is_seen_by_its_lock(qemu: Qemu, remus: DomainConfig) -> None:
    """A guest that an older version has booted."""
    qemu.create(remus)
    Guest("d_remus").events.unlink()
    looker = Looker()
    assert looker.sees("running")
    _kill(qemu)
    assert looker.sees("off", "crash")
