"""The rescue system in a real guest: its shell, the machine's disks, and the tools that mend them."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from invirt.host.domain import DomainConfig
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from invirt.host.storage.files import FileStorage
from invirt.host.waiting import wait
from tests.parts.host.conftest import shown

DEADLINE = 120  # seconds for what takes a tenth of that


@pytest.fixture
def disks(home: Path, remus: DomainConfig) -> DomainConfig:
    """remus with a second disk, which is to boot the rescue system; the first has a file system."""
    storage = FileStorage(str(home / "volumes"))
    storage.create("remus", "hdb", 1)
    (home / "files").mkdir()
    (home / "files/notes").write_text("what must not be lost\n")
    made = ["/sbin/mke2fs", "-q", "-t", "ext4", "-d", str(home / "files"), storage.path("remus", "hda")]
    subprocess.run(made, check=True, timeout=60)
    second = f"format=raw, vdev=hdb, access=rw, target={storage.path('remus', 'hdb')}"
    disk = [*remus.settings["disk"], second]
    return replace(remus, settings={**remus.settings, "disk": disk, "on_reboot": "destroy"})


class Shell:
    """The one on the guest's console."""

    def __init__(self, console: socket.socket) -> None:
        self.console = console
        self.greeting = shown(console, b"rescue# ").decode()

    def ask(self, command: str) -> str:
        """What a command says; fails if it fails."""
        self.console.sendall(f"{command} && echo we'l'l || echo ba'd'ly\n".encode())
        said = shown(self.console, b"rescue# ").decode()
        assert "well\r\n" in said, said
        return said


@contextmanager
def rescued(qemu: Qemu, machine: DomainConfig, image: Path) -> Iterator[Shell]:
    """As hosts boot it; see /etc/xen/invirt-database."""
    qemu.create(replace(machine, settings={**machine.settings, "ramdisk": str(image / "rescue")}))
    with socket.socket(socket.AF_UNIX) as console:
        console.settimeout(DEADLINE)
        console.connect(str(Guest(machine.name).console))
        yield Shell(console)


def test_a_shell_with_the_machines_disks(qemu: Qemu, disks: DomainConfig, image: Path) -> None:
    with rescued(qemu, disks, image) as shell:
        assert "none of its disks is mounted" in shell.greeting
        assert "/dev/vda" not in shell.ask("cat /proc/mounts")
        assert "what must not be lost" in shell.ask("mount /dev/vda /mnt && cat /mnt/notes && umount /mnt")
        assert "0.0% non-contiguous" in shell.ask("fsck.ext4 -f -p /dev/vda")
        assert "Connection refused" in shell.ask("! ssh -o BatchMode=yes root@127.0.0.1")
        assert "remus" in shell.ask("hostname")
        shell.console.sendall(b"reboot -f\n")
        assert wait(lambda: not qemu.running(disks.name), DEADLINE)  # it would boot the rescue system again


@pytest.mark.nightly
def test_logical_volumes(qemu: Qemu, disks: DomainConfig, image: Path) -> None:
    with rescued(qemu, disks, image) as shell:
        shell.ask("pvcreate -q /dev/vdb && vgcreate -q group /dev/vdb && lvcreate -q -n root -L 64M group")
        shell.ask("mke2fs -q -t ext4 /dev/group/root && mount /dev/group/root /mnt && cp /etc/motd /mnt")
        shell.ask("umount /mnt && vgchange -an group && vgchange -ay group")
        shell.ask(
            "lvextend -q -L 128M group/root && fsck.ext4 -f -p /dev/group/root && resize2fs /dev/group/root"
        )
        assert "128.00m" in shell.ask("lvs")
        assert "motd" in shell.ask("mount /dev/group/root /mnt && ls /mnt")
