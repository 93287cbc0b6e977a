"""The hypervisor and the storage that this host has, as invirt.yaml names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from invirt import config
from invirt.base.errors import BadConfig
from invirt.host.protocols import Hypervisor
from invirt.host.storage.volumes import Storage

XEN = Path("/proc/xen/capabilities")  # of a domain of Xen's; that of the first says control_d


def driver() -> str:
    """xen, qemu or fake: what all hosts run, as invirt.yaml says, or what this one was booted for."""
    if config.hypervisor.driver != "auto":
        return config.hypervisor.driver
    return "xen" if XEN.exists() and "control_d" in XEN.read_text() else "qemu"


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


def about() -> dict[str, Any]:
    """What this host's hypervisor and its storage are, and can."""
    return {
        "hypervisor": driver(),
        "can": sorted(hypervisor().can),
        "storage": {config.storage.driver: sorted(storage().can)},
    }


def storage() -> Storage:
    """The driver of disks; BadConfig if there is none of that name."""
    driver = config.storage.driver
    if driver == "file":
        from invirt.host.storage.files import FileStorage

        return FileStorage(config.storage.directory)
    if driver == "lvm":
        from invirt.host.storage.lvm import Lvm

        return Lvm(config.storage.volume_group)
    if driver == "fake":
        from invirt.host.fake import FakeStorage

        return FakeStorage(config.storage.directory)
    raise BadConfig(f'storage.driver is "{driver}" in invirt.yaml', hint="It may be lvm or file.")
