"""A host with a folder of its own whose guests are real QEMU processes, without systemd."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from invirt import config
from invirt.host import paths
from invirt.host.domain import DomainConfig
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.supervisor import Alone
from invirt.host.storage.files import FileStorage
from invirt.host.waiting import wait

CLONE_NEWNET = 0x40000000
Inside = Callable[..., Any]
INVIRT_YAML = """\
site: {{domain: invirt.test, realm: INVIRT.TEST}}
database: {{hostname: db.invirt.test}}
remote: {{hostname: remote.invirt.test}}
hypervisor:
  driver: qemu
  probe_kernel: {image}/vmlinuz
  probe_initrd: {image}/initrd
storage: {{driver: file, directory: {home}/volumes}}
"""


@pytest.fixture(scope="session")
def image(checkout: Path) -> Iterator[Path]:
    """Kernel and initrd of a guest, made by scripts/build-guest (kept from run to run).

    A copy that the guests' user can read, as a checkout in root's home is not.
    """
    made = checkout / ".cache/guest"
    subprocess.run([checkout / "scripts/build-guest", made], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(made / "current", f"{folder}/guest"))
        for path in (copy.parent, copy):
            path.chmod(0o755)
        yield copy


@pytest.fixture
def home(image: Path) -> Iterator[Path]:
    """The host's folders; /tmp itself, since a socket's path must be short."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder)
        (path / "invirt.yaml").write_text(INVIRT_YAML.format(image=image, home=path))
        patch.setenv("INVIRT_CONFIG", str(path / "invirt.yaml"))
        patch.setenv("INVIRT_STATE", str(path / "state"))
        patch.setenv("INVIRT_RUN", str(path / "run"))
        config.reload()
        yield path
    config.reload()


@pytest.fixture
def qemu(home: Path) -> Iterator[Qemu]:
    """The driver; what still runs at the test's end is killed."""
    driver = Qemu(Alone("tcg"))
    yield driver
    guests = paths.run() / "guests"
    for guest in guests.iterdir() if guests.is_dir() else ():
        driver.destroy(guest.name)


@pytest.fixture
def remus(home: Path, image: Path) -> DomainConfig:
    """A machine with a disk and no network."""
    disks = FileStorage(str(home / "volumes"))
    disks.create("remus", "hda", 1)
    return DomainConfig(
        {
            "name": "d_remus",
            "machine": 17,
            "type": "pvh",
            "memory": 128,
            "vcpus": 1,
            "kernel": str(image / "vmlinuz"),
            "ramdisk": str(image / "initrd"),
            "extra": "console=ttyS0 quiet mitigations=off no_timer_check hostname=remus",
            "disk": [f"format=raw, vdev=hda, access=rw, target={disks.path('remus', 'hda')}"],
        }
    )


def prompt(name: str, times: int = 1) -> bool:
    """Whether the guest shows its prompt for the so manieth time, within thirty times what it should take."""
    log = paths.state() / "guests" / name / "console.log"
    return wait(lambda: log.read_bytes().count(b"guest# ") >= times, 120)


def alive(pid: int) -> bool:
    """Whether the process lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _unshare() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


LONGEST = 600  # seconds: a base is made of packages in one


@pytest.fixture
def inside() -> Iterator[Inside]:
    """inside(function, argument…) calls it in a thread that has a network of its own."""
    with ThreadPoolExecutor(1, initializer=_unshare) as thread:
        yield lambda function, *arguments: thread.submit(function, *arguments).result(LONGEST)


inside_too = inside  # another one


def shown(console: socket.socket, text: bytes) -> bytes:
    """What the guest says up to text; a console that nobody reads holds the guest's output up."""
    seen = b""
    while text not in seen:
        try:
            data = console.recv(4096)
        except TimeoutError:
            data = b""
        assert data, f"no {text!r} in {seen!r}"
        seen += data
    return seen
