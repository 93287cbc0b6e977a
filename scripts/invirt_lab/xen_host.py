"""A Xen host: Debian's Xen and its first domain in an emulated machine of this one.

    with xen_host.started(folder) as xen:     # at its prompt, from a state that is kept; the first time, cold
        xen.run("xl", "list")
    with xen_host.pair(folder) as (xen1, xen2):     # on one network, with one disk
        ...

Its processor is emulated, so nothing that is measured there in seconds says anything of real hosts.  It
reaches nothing, and is reached by ssh from this machine alone.  It ends with the process that started it.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from invirt.base.errors import CommandFailed, InvirtError, NotFound
from invirt.base.process import run
from invirt.host.qemu.qmp import Qmp
from invirt_lab import images, xen_image
from invirt_lab.progress import step

COMMANDS = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "ssh": "openssh-client"}
GROUP = "invirt"  # the volume group on its second disk
DISKS = {"root": "4G", "disk": "8G"}
SHARED = 6 << 30  # bytes of the third disk, empty: a file that two hosts may have
PAIR = {"xen1": "10.9.0.1", "xen2": "10.9.0.2"}
LAN = "02:00:00:00:02:01"  # the second card's address, in the state that is kept
MEMORY = 1920  # MiB
BOOT = 600.0  # seconds until a cold one must be up: a busy machine takes four minutes
WORK = 300.0  # seconds for a command there
# Without smap, smep and rdtscp Xen's first domain crashes; with xsave, guests break it.  (QEMU 7.2, Xen 4.17)
PROCESSOR = "max,-smap,-smep,-rdtscp"
XEN = "com1=115200,8n1 console=com1 noreboot=1 dom0_mem=1024M xsave=0 spec-ctrl=eager-fpu"
LINUX = "console=hvc0 root=/dev/vda rw quiet mitigations=off"
_READY = (
    "systemctl is-system-running --wait || true",
    "systemctl stop invirt-remctld-gate",  # which looks at all processes all the time, and nobody calls
    "modprobe -a xen-blkback xen-netback xen-gntdev xen-gntalloc xen-evtchn dm-snapshot",
    # Loaded one by one, the first rules take half a minute: longer than invirt-config waits for their check.
    "modprobe -a nft_ct nft_fib_inet nft_limit nft_log nft_objref nft_reject_inet",
    "xl list",
    f"pvcreate -q /dev/vdb; vgcreate -q {GROUP} /dev/vdb",
    "sync",
)
# Now, and when it boots again.
_PLUG = """\
echo {name} >/etc/hostname
hostname {name}
cd /etc/systemd/network
printf '[Match]\\nPermanentMACAddress={lan}\\n[Link]\\nMACAddress={mac}\\n' >10-lan.link
printf '[Match]\\nMACAddress={mac}\\n[Network]\\nAddress={address}/24\\n{more}' >10-lan.network
nic=$(basename "$(dirname "$(grep -l {lan} /sys/class/net/*/address)")")
ip link set "$nic" down
ip link set "$nic" address {mac} up
ip address add {address}/24 dev "$nic"
"""


@dataclass(frozen=True)
class Cable:
    """Where its second card leads.

    netdev: words of QEMU's.  within: what begins a command of the network in which it then is, if another.
    """

    netdev: str
    within: tuple[str, ...] = ()


def between(folder: Path, peer: Path) -> Cable:
    """From the host in one folder to that in another."""
    ends = f"local.type=unix,local.path={folder}/lan,remote.type=unix,remote.path={peer}/lan"
    return Cable(f"dgram,{ends}")


@dataclass(frozen=True)
class Xen:
    """One that runs; folder: its disks, sockets and console.log."""

    folder: Path
    key: Path
    port: int
    cable: Cable

    def command(self, argv: Sequence[str], terminal: bool = False, patience: int = 30) -> list[str]:
        """What runs argv there, as root, by one connection for all; terminal: on one of its own.

        patience: seconds until its ssh must have answered.
        """
        options = (
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
        )
        kept = (
            "ControlMaster=auto",
            f"ControlPath={self.folder}/ssh",
            "ControlPersist=yes",
            f"ConnectTimeout={patience}",
        )
        words = [word for option in (*options, *kept) for word in ("-o", option)]
        there = ("-i", str(self.key), "-p", str(self.port), "root@127.0.0.1")
        command = [shlex.join(argv)] if argv else []  # none: a shell
        ssh = ["ssh", "-F", "none", *(["-tt"] if terminal else [])]
        return [*self.cable.within, *ssh, *words, *there, *command]

    def run(
        self, *argv: str, input: str | None = None, check: bool = True, timeout: float = WORK
    ) -> subprocess.CompletedProcess[str]:
        """See invirt.base.process.run."""
        return run(self.command(argv), input=input, check=check, timeout=timeout)

    def sh(self, script: str, check: bool = True, timeout: float = WORK) -> str:
        """What a script of shell says there."""
        return self.run("sh", "-ec", script, check=check, timeout=timeout).stdout

    def python(self, script: str, timeout: float = WORK) -> str:
        """What a script says that is run by Debian's Python there, with our packages."""
        return self.run("/usr/bin/python3", "-", input=script, timeout=timeout).stdout

    def disconnect(self) -> None:
        """End the connection that is kept."""
        run(["ssh", "-F", "none", "-o", f"ControlPath={self.folder}/ssh", "-O", "exit", "x"], check=False)

    def plug(self, name: str, address: str, number: int, gateway: str = "") -> None:
        """Its name, and its address (of a network of 24 bits) by the second card; number: ends the card's."""
        mac, more = f"{LAN[:-2]}{number:02x}", f"Gateway={gateway}\\n" if gateway else ""
        self.sh(_PLUG.format(name=name, address=address, lan=LAN, mac=mac, more=more))
        if gateway:
            self.sh(f"ip route replace default via {gateway}")

    def cut_power(self) -> None:
        """What its disks have stays."""
        with suppress(NotFound), Qmp(self.folder / "qmp", 30) as qmp:
            qmp("quit")
        self.disconnect()


@contextmanager
def two(folder: Path, cables: Callable[[Path, Path], Cable] = between) -> Iterator[tuple[Xen, Xen]]:
    """Two hosts whose third disk is one and the same; cables: of a host's folder, and the other's."""
    one, two = (folder / name for name in PAIR)
    one.mkdir()
    two.mkdir()
    (two / "shared").symlink_to(one / "shared")
    with started(one, cables(one, two)) as first, started(two, cables(two, one)) as second:
        yield first, second


@contextmanager
def pair(folder: Path) -> Iterator[tuple[Xen, Xen]]:
    """Two hosts that know each other by their names, xen1 and xen2; their third disk is one and the same."""
    with two(folder) as hosts:
        known = " ".join(shlex.quote(f"{address} {name}") for name, address in PAIR.items())
        for number, (xen, name) in enumerate(zip(hosts, PAIR, strict=True), 1):
            xen.plug(name, PAIR[name], number)
            xen.sh(f"printf '%s\\n' {known} >>/etc/hosts")
        yield hosts


@contextmanager
def started(folder: Path, cable: Cable | None = None) -> Iterator[Xen]:
    """A host with an empty volume group, for the length of the block; folder: new, with a short name."""
    image = xen_image.made()
    with images.kept(
        "xen-state", image, PROCESSOR, XEN, LINUX, *DISKS.values(), str(MEMORY), LAN, str(SHARED), *_READY
    ) as (
        ready,
        new,
    ):
        if new:
            with step("booting Xen, emulated, for the first time"):
                _prepare(image, new)
    for name in DISKS:
        _overlay(ready / f"{name}.qcow2", "qcow2", folder / f"{name}.qcow2")
    with _machine(image, folder, ready / "state", cable) as xen:
        xen.run("date", "--set", f"@{time.time():.0f}")
        yield xen


@contextmanager
def bare(folder: Path, cable: Cable) -> Iterator[Xen]:
    """Debian with Xen, and nothing of ours, booted from nothing, for the length of the block."""
    image = xen_image.made(role=False)
    _disks(image, folder)
    with step("booting Xen, emulated, from nothing"), _machine(image, folder, None, cable) as xen:
        yield xen


@contextmanager
def again(xen: Xen) -> Iterator[Xen]:
    """One whose power is off, booted by what its disks have, for the length of the block."""
    with _machine(xen.key.parent, xen.folder, None, xen.cable) as booted:
        yield booted


def _prepare(image: Path, folder: Path) -> None:
    """Boot from nothing, and keep disks and memory as they are when all is up."""
    _disks(image, folder)
    with _machine(image, folder) as xen:
        for script in _READY:
            xen.sh(script)
        xen.disconnect()
        _keep(folder)


def _disks(image: Path, folder: Path) -> None:
    """That of the image, and an empty one."""
    _overlay(image / "root.img", "raw", folder / "root.qcow2")
    run(["qemu-img", "create", "-q", "-f", "qcow2", str(folder / "disk.qcow2"), DISKS["disk"]])


def _overlay(below: Path, format: str, path: Path) -> None:
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", format, "-b", str(below), str(path)])


@contextmanager
def _machine(
    image: Path, folder: Path, state: Path | None = None, cable: Cable | None = None
) -> Iterator[Xen]:
    cable = cable or between(folder, folder / "nobody")
    with open(folder / "shared", "ab") as shared:
        shared.truncate(SHARED)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = [*cable.within, "setpriv", "--pdeathsig", "KILL", "--", *words(image, folder, port, cable.netdev)]
    argv += ["-incoming", f"exec:cat {state}"] if state else []
    with (
        (folder / "qemu.log").open("wb") as log,
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process,
    ):
        try:
            xen = Xen(folder, image / "key", port, cable)
            if state:
                _go_on(folder)
            _await(xen, process)
            yield xen
        finally:
            process.kill()
            xen.disconnect()


def words(image: Path, folder: Path, port: int, lan: str) -> list[str]:
    """QEMU's command line."""
    kernel = f"{image}/vmlinuz {LINUX},{image}/initrd"
    disks = [
        word
        for name in DISKS
        for word in (
            *("-drive", f"file={folder}/{name}.qcow2,if=none,id={name},cache=unsafe,discard=unmap"),
            *("-device", f"virtio-blk-pci,drive={name}"),
        )
    ]
    return [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-accel", "tcg,thread=single", "-cpu", PROCESSOR, "-m", f"{MEMORY}M", "-smp", "1"),
        *("-kernel", f"{image}/xen.elf", "-append", XEN, "-initrd", kernel),
        *("-serial", f"file:{folder}/console.log", "-qmp", f"unix:{folder}/qmp,server=on,wait=off"),
        *("-netdev", f"user,id=uplink,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", "virtio-net-pci,netdev=uplink,mac=02:00:00:00:01:01,romfile="),
        *("-netdev", f"{lan},id=lan"),
        *("-device", f"virtio-net-pci,netdev=lan,mac={LAN},romfile="),
        *("-device", "virtio-rng-pci", *disks),
        *(
            "-blockdev",
            "driver=raw,node-name=shared,discard=unmap,file.driver=file,file.locking=off,cache.no-flush=on,"
            f"file.filename={folder}/shared",
        ),
        *("-device", "virtio-blk-pci,drive=shared,share-rw=on"),
    ]


def _go_on(folder: Path) -> None:
    """Once its memory is as it was; it stood still when that was written down."""
    deadline = time.monotonic() + BOOT
    while time.monotonic() < deadline:
        with suppress(NotFound), Qmp(folder / "qmp", 30) as qmp:
            if qmp.status() != "inmigrate":
                qmp("cont")
                return
        time.sleep(0.1)


def _await(xen: Xen, process: subprocess.Popen[bytes]) -> None:
    """Until it lets root in."""
    deadline = time.monotonic() + BOOT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            run(xen.command(["true"], patience=10), timeout=40)  # one from before it listens is lost
            return
        except CommandFailed:
            time.sleep(0.5)
    said = [(xen.folder / name).read_text(errors="replace")[-1500:] for name in ("qemu.log", "console.log")]
    raise InvirtError("the Xen host doesn't come up", hint="\n".join(said))


def _keep(folder: Path) -> None:
    """Write its memory down; its disks are of the same moment."""
    with Qmp(folder / "qmp", 30) as qmp:
        qmp("stop")
        qmp("migrate", uri=f"exec:cat >{folder}/state")
        deadline = time.monotonic() + BOOT
        while (state := qmp("query-migrate").get("status")) != "completed":
            if state == "failed" or time.monotonic() > deadline:
                raise InvirtError(f"the Xen host's memory can't be kept: {state}")
            time.sleep(0.2)
        with suppress(NotFound):
            qmp("quit")
    for name in ("console.log", "qemu.log", "qmp", "lan", "shared"):
        (folder / name).unlink(missing_ok=True)
