"""What a move costs, and for how long its guest stands still, against QEMU's own by bare QMP."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from invirt import config
from invirt.host import reservation
from invirt.host.console import logs
from invirt.host.domain import DomainConfig
from invirt.host.moving import source, target
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from tests.bench.bare_moves import Bare, Events, tls
from tests.parts.host.conftest import home, image, prompt, qemu, remus
from tests.parts.host.test_moving import CERTIFICATE, DOMAIN, HERE, NAME
from tests.results import TURNS, Result, best, keep, quickest

__all__ = ["home", "image", "qemu", "remus"]  # fixtures
MOST = 1.2  # times


class Ours:
    """A guest that invirt.host moves between two hosts: folders, and a process that serves."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, known: DomainConfig) -> None:
        self.patch, self.places = patch, [folder / "a", folder / "b"]
        patch.setattr(reservation, "require", lambda domain: None)
        patch.setattr(logs, "FOLDER", folder / "consoles")
        patch.setattr(reservation, "memory", lambda name: known.memory)
        patch.setattr(target, "_known", lambda name: known)
        self.be(self.places[0])

    def be(self, place: Path) -> None:
        """This process is on that host from now on."""
        self.patch.setenv("INVIRT_RUN", str(place / "run"))
        self.patch.setenv("INVIRT_STATE", str(place / "state"))

    def end(self, driver: Qemu) -> None:
        """Wherever it is."""
        for place in self.places:
            self.be(place)
            driver.destroy(DOMAIN)

    @contextmanager
    def serving(self) -> Iterator[Path]:
        """The other host waits for the guest; yields where its QEMU will tell what happens."""
        listening = socket.create_server((HERE, config.hypervisor.move_port))

        def serve() -> None:
            with listening:
                target.serve(listening.accept()[0])

        here, there = self.places
        self.be(there)
        target.expect(NAME, HERE)
        events = Guest(DOMAIN).events
        process = get_context("fork").Process(target=serve, daemon=True)
        process.start()
        listening.close()
        self.be(here)
        yield events
        process.join(timeout=60)
        assert process.exitcode == 0

    def move(self) -> tuple[float, float]:
        """See Bare.move()."""
        with self.serving() as there:
            events = Events(Guest(DOMAIN).events, there)
            took = quickest(lambda: source.send(NAME, HERE, 120), 1)
            still = events.still()
        self.places.reverse()
        self.be(self.places[0])
        return took, still


def test_against_qemus_own(
    remus: DomainConfig, qemu: Qemu, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both guests are the same, and idle."""
    subprocess.run(["sh", "-c", CERTIFICATE, home, HERE], check=True)
    with socket.create_server((HERE, 0)) as free:
        port = free.getsockname()[1]
    file = home / "invirt.yaml"
    named = f"console: {{ca: {home}/ca.pem, credentials: {home}/server.pem}}\n"
    file.write_text(file.read_text().replace("driver: qemu", f"driver: qemu\n  move_port: {port}") + named)
    config.reload()
    ours = Ours(home, monkeypatch, remus)
    qemu.create(remus)
    assert prompt(DOMAIN)
    disk = home / "bare.img"
    disk.touch()
    with disk.open("r+b") as made:
        made.truncate(1 << 30)
    settings = {**remus.settings, "disk": [f"format=raw, vdev=hda, access=rw, target={disk}"]}
    found: list[tuple[float, float, float, float]] = []
    with Bare(home / "bare", replace(remus, settings=settings), tls(home)) as bare:

        def measure(which: int) -> float:
            turns = [(*ours.move(), *bare.move()) for _ in range(TURNS)]
            found.extend(turns)
            return min(turn[which] for turn in turns) / min(turn[which + 2] for turn in turns)

        try:
            best("a move's time, to QEMU's own", lambda: measure(0), MOST)
            best("for how long its guest stands still, to QEMU's own", lambda: measure(1), MOST)
        finally:
            ours.end(qemu)
    mine, still, plain, bare_still = map(min, zip(*found, strict=True))
    keep(Result("a move", mine, "s", bare=plain))
    keep(Result("a move: its guest stands still", still, "s", bare=bare_still))
