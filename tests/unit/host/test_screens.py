"""Screens at a host's door: who asks for what, whose socket is joined, and who waits for whom."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from invirt.host import paths
from invirt.host.console import screens
from invirt.host.domain import DomainConfig
from invirt.host.qemu import screen

NUMBER = 17


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INVIRT_RUN", str(tmp_path))
    return tmp_path


@pytest.fixture
def vnc(run: Path) -> Iterator[socket.socket]:
    """What listens in the place of machine 17's QEMU: this process."""
    os.close(screen.place(NUMBER))
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(paths.screen(NUMBER)))
        made.listen()
        yield made


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("remus 17 screen\n", 17),
        ("remus 17 attach\n", None),
        *((line, None) for line in ("remus 017 screen\n", "remus 0 screen\n", "remus ../18 screen\n")),
        *((line, None) for line in ("remus 17 screen", "remus 17 screen \n", "remus -1 screen\n")),
        *((line, None) for line in ("../x 17 screen\n", "remus bob screen\n", "remus ١٧ screen\n")),
        ("remus 9999999999 screen\n", None),
    ],
)
def test_a_request_is_for_one_machine(line: str, number: int | None) -> None:
    assert screens.asked(line) == number


def test_only_the_machines_own_socket_is_joined(vnc: socket.socket) -> None:
    """Who listens says the kernel: a link to another's socket, and another's process, are refused."""
    screens.join(NUMBER, os.getuid()).close()
    with pytest.raises(OSError, match="not its own"):
        screens.join(NUMBER, os.getuid() + 1)
    os.close(screen.place(NUMBER + 1))
    paths.screen(NUMBER + 1).symlink_to(paths.screen(NUMBER))
    with pytest.raises(OSError, match="not its own"):
        screens.join(NUMBER + 1, os.getuid() + 1)


def test_what_is_not_there_is_told(vnc: socket.socket) -> None:
    """A machine that is off, one without a screen, and what its QEMU left when it was killed."""
    with pytest.raises(OSError, match="no screen here now"):
        screens.join(NUMBER + 1, os.getuid())
    vnc.close()
    with pytest.raises(OSError, match="no screen here now"):
        screens.join(NUMBER, os.getuid())


def test_a_folder_is_new_with_each_boot(vnc: socket.socket) -> None:
    (paths.screen(NUMBER).parent / "left").write_text("by the guest before")
    os.close(screen.place(NUMBER))
    assert not list(paths.screen(NUMBER).parent.iterdir())
    assert paths.screen(NUMBER).parent.parent.stat().st_mode & 0o7 == 0


@pytest.mark.parametrize(
    ("settings", "seen"),
    [({"type": "hvm"}, True), ({"type": "hvm", "vnc": 0}, False), ({"type": "pvh"}, False), ({}, False)],
)
def test_who_has_a_screen(settings: dict[str, Any], seen: bool) -> None:
    assert screen.has(DomainConfig({"name": "d_x", **settings})) is seen


@pytest.fixture
def joined() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A viewer and a QEMU, with what carries between them."""
    viewer, peer = socket.socketpair()
    qemu, inner = socket.socketpair()
    carrying = threading.Thread(target=screens.Carrying(peer, inner).go)  # type: ignore[arg-type]
    carrying.start()
    for side in (viewer, qemu):
        side.settimeout(20)
    yield viewer, qemu
    viewer.close()
    carrying.join(20)
    assert not carrying.is_alive()
    for side in (qemu, peer, inner):
        side.close()


def _all(side: socket.socket, count: int) -> bytes:
    taken = bytearray()
    while len(taken) < count:
        taken += side.recv(1 << 20)
    return bytes(taken)


def _pushed(side: socket.socket) -> int:
    """How much a side can say while the other takes nothing."""
    side.settimeout(0.5)
    sent = 0
    try:
        while sent < 1 << 25:
            sent += side.send(os.urandom(1 << 12))
    except TimeoutError:
        pass
    return sent


@pytest.mark.parametrize("back", [False, True], ids=["shown", "typed"])
def test_who_takes_nothing_costs_little_and_loses_nothing(
    joined: tuple[socket.socket, socket.socket], back: bool
) -> None:
    """The other way goes on meanwhile."""
    viewer, qemu = joined
    slow, quick = (qemu, viewer) if back else (viewer, qemu)
    sent = _pushed(quick)
    assert sent < 4 << 20
    slow.sendall(b"still here")
    quick.settimeout(20)
    assert _all(quick, 10) == b"still here"
    assert len(_all(slow, sent)) == sent


def test_the_last_that_was_said_is_shown(joined: tuple[socket.socket, socket.socket]) -> None:
    viewer, qemu = joined
    said = os.urandom(1 << 20)
    threading.Thread(target=lambda: (qemu.sendall(said), qemu.shutdown(socket.SHUT_RDWR))).start()
    assert _all(viewer, len(said)) == said
