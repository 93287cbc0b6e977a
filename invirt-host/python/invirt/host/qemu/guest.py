"""One QEMU guest of this host: its files, whether it runs, and its command line.

What is written down lies in $INVIRT_STATE/guests/NAME (config, console.log),
what lives with the process in $INVIRT_RUN/guests/NAME (sockets, lock).  QEMU
holds the lock from before its start to its very end, whatever ends it: who
wants to know whether the guest runs looks at the lock.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from invirt.host import paths
from invirt.host.domain import DomainConfig
from invirt.host.qemu import screen
from invirt.host.qemu.able import QEMU, check
from invirt.host.records import Record

# What a guest may cost beyond its memory: QEMU itself, and translated code.
TRANSLATED = 64  # MiB
OVERHEAD = 256 + TRANSLATED  # MiB
TOLD = "opt/org.invirt.install"  # where the installer looks for it
TABLET = ("-device", "qemu-xhci", "-device", "usb-tablet")


@dataclass(frozen=True)
class Guest(Record):
    """The places that belong to the domain called name, and to its QEMU."""

    @property
    def log(self) -> Path:
        """What the guest wrote to its serial console since it was booted."""
        return self.folder / "console.log"

    @property
    def said(self) -> Path:
        """What QEMU had to say, where systemd doesn't write that down."""
        return self.folder / "qemu.log"

    @property
    def qmp(self) -> Path:
        """QEMU's control socket."""
        return paths.run() / "guests" / self.name / "qmp"

    @property
    def events(self) -> Path:
        """QEMU's socket for who only listens; see invirt.host.qemu.watch."""
        return paths.run() / "guests" / self.name / "events"

    @property
    def console(self) -> Path:
        """The serial console's socket; it takes one connection at a time."""
        return paths.run() / "guests" / self.name / "console"

    @property
    def coming(self) -> Path:
        """The model of the machine, while its guest is on its way in; see invirt.host.qemu.moving."""
        return paths.run() / "guests" / self.name / "coming"

    @property
    def model(self) -> Path:
        """The model of the machine that it was booted with; see invirt.host.qemu.version."""
        return self.folder / "model"

    @property
    def told(self) -> Path:
        """What it is told at its next launch, as long as that is to come; see invirt.host.installing."""
        return paths.run() / "guests" / self.name / "told"

    @property
    def keeper(self) -> Path:
        """The number of the process that keeps its links' rules, see invirt.host.network.owned."""
        return paths.run() / "guests" / self.name / "keeper"

    @property
    def lock(self) -> Path:
        """Held by QEMU while it lives."""
        return paths.run() / "guests" / self.name / "lock"

    def launched(self) -> str:
        """The launch that took the lock last, even if it failed then: its number, and its time."""
        return self.lock.read_text() if self.lock.exists() else ""

    def running(self) -> bool:
        """Whether a QEMU, or the launcher that is about to become one, lives."""
        try:
            descriptor = os.open(self.lock, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


def arguments(
    config: DomainConfig, accelerator: str, descriptors: Mapping[str, int], coming: str = ""
) -> list[str]:
    """QEMU's command line.

    descriptors: open files by name: "qmp", "events" and "console" (listening sockets),
    "log", each disk's vdev, each nic's vifname, "screen", a folder, where there is to be
    one, and "told", where there is something to tell it.  QEMU opens nothing by name but
    kernel and initrd, so it needs no right to a disk or a socket.  coming: the model of a
    guest that is on its way in.
    """
    check(config)
    return [
        QEMU,
        *("-name", f"guest={config.name}"),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-machine", coming or "pc", "-m", f"{config.memory}M", "-smp", str(config.vcpus)),
        *_accelerator(accelerator),
        *_channels(descriptors),
        *_boot(config),
        *(("-rtc", "base=localtime") if config.number("localtime") else ()),
        *(("-fw_cfg", f"name={TOLD},file=/dev/fd/{descriptors['told']}") if "told" in descriptors else ()),
        *_display(config, descriptors),
        *(word for disk in config.devices("disk") for word in _disk(disk, descriptors)),
        *(word for nic in config.devices("vif") for word in _nic(nic, descriptors)),
        *(("-incoming", "defer", "-S") if coming else ()),
    ]


def _accelerator(accelerator: str) -> list[str]:
    if accelerator == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", f"tcg,tb-size={TRANSLATED}"]


def _channels(descriptors: Mapping[str, int]) -> list[str]:
    return [
        *("-chardev", f"socket,id=qmp,fd={descriptors['qmp']},server=on,wait=off"),
        *("-mon", "chardev=qmp,mode=control"),
        *("-chardev", f"socket,id=events,fd={descriptors['events']},server=on,wait=off"),
        *("-mon", "chardev=events,mode=control"),
        *("-add-fd", f"fd={descriptors['log']},set=1"),
        "-chardev",
        f"socket,id=console,fd={descriptors['console']},server=on,wait=off,logfile=/dev/fdset/1,logappend=on",
        *("-serial", "chardev:console"),
    ]


def _boot(config: DomainConfig) -> list[str]:
    """A kernel given by name, or the firmware, on the serial console too, and what the disks hold."""
    words = [] if config.text("on_reboot", "restart") == "restart" else ["-no-reboot"]
    words += ["-uuid", config.text("uuid")] if config.text("uuid") else []
    if not config.text("kernel"):
        order = ["-boot", f"order={config.text('boot')}"] if config.text("boot") else []
        return [*words, *order, "-machine", "graphics=off"]
    words += ["-kernel", config.text("kernel")]
    if config.text("ramdisk"):
        words += ["-initrd", config.text("ramdisk")]
    return [*words, "-append", config.command_line]


def _display(config: DomainConfig, descriptors: Mapping[str, int]) -> list[str]:
    """A PC's; with a screen comes a tablet, so that the pointer is where the viewer's is."""
    if config.virt != "hvm":
        return []
    seen = [*screen.words(descriptors["screen"]), *TABLET] if "screen" in descriptors else []
    return ["-device", "VGA", *seen]


def is_written(disk: Mapping[str, str]) -> bool:
    """Whether the guest may write to a disk: not to a CD, nor where access says ro."""
    return disk.get("access", "rw") in ("w", "rw") and disk.get("devtype") != "cdrom"


def _disk(disk: Mapping[str, str], descriptors: Mapping[str, int]) -> list[str]:
    """QEMU's lock on the file keeps a second guest, on any host that shares it, from opening it."""
    name = disk["vdev"]
    number = descriptors[name]
    kind = "host_device" if disk["target"].startswith("/dev/") else "file"
    file = f"file.driver={kind},file.filename=/dev/fdset/{number},file.locking=on"
    access = "discard=unmap" if is_written(disk) else "read-only=on"
    device = f"ide-cd,id={drive(name)}" if disk.get("devtype") == "cdrom" else "virtio-blk-pci"
    return [
        *("-add-fd", f"fd={number},set={number}"),
        *("-blockdev", f"driver=raw,node-name={name},{file},{access}"),
        *("-device", f"{device},drive={name}"),
    ]


def drive(vdev: str) -> str:
    """What QEMU calls the drive of a CD."""
    return f"drive-{vdev}"


def _nic(nic: Mapping[str, str], descriptors: Mapping[str, int]) -> list[str]:
    name = nic["vifname"]
    return [
        *("-netdev", f"tap,id={name},fd={descriptors[name]}"),
        *("-device", f"virtio-net-pci,id={name},netdev={name},mac={nic['mac']},romfile="),
    ]
