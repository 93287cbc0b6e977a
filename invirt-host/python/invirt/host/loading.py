"""The hypervisor and the storage that this host has, as invirt.yaml names them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invirt import config
from invirt.base.errors import BadInput
from invirt.base.names import DomainName
from invirt.host.protocols import Hypervisor, Mover
from invirt.host.watching import Polled, Watch

if TYPE_CHECKING:
    from invirt.host.storage.files import FileStorage
    from invirt.host.storage.lvm import Lvm

# Of a domain of Xen's, hexadecimal.  Units that are bound to read /proc alone see nothing of /proc/xen.
FEATURES = Path("/sys/hypervisor/properties/features")
FIRST = 1 << 11  # XENFEAT_dom0 (xen/include/public/features.h)


def driver() -> str:
    """xen, qemu or fake: what all hosts run, as invirt.yaml says, or what this one was booted for."""
    if config.hypervisor.driver != "auto":
        return config.hypervisor.driver
    features = int(FEATURES.read_text(), 16) if FEATURES.exists() else 0
    return "xen" if features & FIRST else "qemu"


def hypervisor() -> Hypervisor:
    """The driver of guests.  One is imported when it is named."""
    name = driver()
    if name == "qemu":
        from invirt.host.qemu.driver import Qemu

        return Qemu.of_this_host()
    if name == "xen":
        from invirt.host.xen.driver import Xen

        return Xen()
    from invirt.host.fake import FakeHypervisor

    return FakeHypervisor()


def virt(declared: str, own: bool) -> str:
    """pv, pvh or hvm: how a machine runs here whose type says declared; /etc/xen/invirt-database asks.

    own: it boots what is on its disk.  On Xen pvgrub does that for pv and pvh too, and the kernel of an
    installer, or of the rescue system, wants no PC.
    """
    if driver() == "xen":
        return declared if own or declared != "hvm" else "pvh"
    return "hvm" if own else declared


def mover() -> Mover:
    """Who moves guests that run; BadInput where the hypervisor can't."""
    if driver() == "xen":
        from invirt.host.xen.driver import Xen
        from invirt.host.xen.moving import XenMover

        return XenMover(Xen())
    if driver() != "qemu":
        raise BadInput(f"guests of {driver()} can't move while they run")
    from invirt.host.qemu.driver import Qemu
    from invirt.host.qemu.moving import QemuMover

    return QemuMover(Qemu.of_this_host())


def travels(name: DomainName, runs: bool) -> dict[str, Any]:
    """What tells whether a guest can go from one host to another while it runs: of this host, and of the
    guest, if it runs here (runs)."""
    if driver() == "xen":
        from invirt.host.xen import moving

        return {"version": moving.installed(), **(moving.traits(name) if runs else {})}
    if driver() != "qemu":
        return {}
    from invirt.host.qemu import version
    from invirt.host.qemu.guest import Guest

    with suppress(FileNotFoundError):  # it has just ended
        if runs:
            return {"version": version.installed(), **version.traits(Guest(name))}
    return {"version": version.installed()}


def watch() -> Watch:
    """Who sees this host's guests."""
    if driver() == "qemu":
        from invirt.host.qemu.watch import QemuWatch

        return QemuWatch()
    if driver() == "xen":
        from invirt.host.xen.watch import XenWatch

        return XenWatch()
    return Polled(hypervisor())


def about() -> dict[str, Any]:
    """What this host's hypervisor is and can, and what each kind of storage can."""
    kinds = storages().items()
    storage = {name: sorted(kind.can) for name, kind in kinds}
    return {"hypervisor": driver(), "can": sorted(hypervisor().can), "storage": storage}


def storages() -> dict[str, type[FileStorage | Lvm]]:
    """The drivers of disks, by name, each of which takes its place."""
    from invirt.host.storage.files import FileStorage
    from invirt.host.storage.lvm import Lvm
    from invirt.host.storage.thin import Thin

    kinds: dict[str, type[FileStorage | Lvm]] = {"file": FileStorage, "lvm": Lvm, "thin": Thin}
    if config.storage.driver == "fake":
        from invirt.host.fake import FakeStorage

        kinds["fake"] = FakeStorage
    return kinds
