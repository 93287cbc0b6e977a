"""The screen of a guest in a real QEMU: who reaches it, and what is on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from invirt import config
from invirt.host import paths
from invirt.host.console import screens
from invirt.host.domain import DomainConfig
from invirt.host.qemu import qmp
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from tests.parts.rfb import Viewer, carry

LIT = 500  # pixels of the firmware's words
NUMBER = 17
CONNECT = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


def uid() -> int:
    return config.hypervisor.uid_base + NUMBER


@pytest.fixture
def remus(qemu: Qemu) -> Iterator[Qemu]:
    """A PC with nothing to boot."""
    qemu.create(DomainConfig({"name": "d_remus", "machine": NUMBER, "type": "hvm", "memory": 64}))
    yield qemu


def test_the_firmware_is_seen_by_all_who_look(remus: Qemu) -> None:
    """One who wants it for himself alone puts nobody out."""
    first, second = Viewer(), Viewer()
    with screens.join(NUMBER, uid()) as one, screens.join(NUMBER, uid()) as other:
        for connection in (one, other):
            connection.settimeout(60)
        carry(first.begin(), one)
        carry(first.until_lit(LIT), one)
        carry(second.begin(), other)
        carry(second.until_lit(LIT), other)
        carry(first.until_lit(LIT), one)  # one answer may tell of another size alone


def test_nobody_else_reaches_it(remus: Qemu) -> None:
    """QEMU listens on no network; another user, another guest's among them, doesn't pass the folder."""
    pid = qmp.pid(Guest("d_remus").qmp)
    open_ = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            open_.add(os.readlink(file))
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        lines = Path(f"/proc/{pid}/net/{protocol}").read_text().splitlines()[1:]
        assert not open_ & {f"socket:[{line.split()[9]}]" for line in lines}
    folder = paths.screen(NUMBER).parent.parent
    folder.parent.parent.chmod(0o755)
    folder.parent.chmod(0o755)
    argv = [sys.executable, "-c", CONNECT, str(paths.screen(NUMBER))]
    for who, reaches in ((0, True), (uid() + 1, False), (uid(), False), (65534, False)):
        done = subprocess.run(argv, user=who, group=who, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) is reaches, (who, done.stderr)


def test_it_goes_with_the_guest(remus: Qemu) -> None:
    with screens.join(NUMBER, uid()) as viewer:
        viewer.settimeout(60)
        carry(Viewer().begin(), viewer)
        remus.destroy("d_remus")
        with suppress(ConnectionResetError):  # where QEMU left something unread
            assert not viewer.recv(1)
    with pytest.raises(OSError, match="no screen here now"):
        screens.join(NUMBER, uid())


def test_what_boots_a_kernel_of_its_own_has_none(qemu: Qemu, image: Path) -> None:
    settings = {"type": "pvh", "memory": 64, "kernel": str(image / "vmlinuz")}
    qemu.create(DomainConfig({"name": "d_remus", "machine": NUMBER, **settings}))
    with pytest.raises(OSError, match="no screen here now"):
        screens.join(NUMBER, uid())
