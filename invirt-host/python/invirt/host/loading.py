"""The hypervisor and the storage that this host has, as invirt.yaml names them."""

from __future__ import annotations

from typing import Any

from invirt import config
from invirt.base.errors import BadConfig
from invirt.host.protocols import Hypervisor
from invirt.host.storage.volumes import Storage


def hypervisor() -> Hypervisor:
    """The driver of guests; BadConfig if there is none of that name.  One is imported when it is named."""
    driver = config.hypervisor.driver
    if driver == "qemu":
        from invirt.host.qemu.driver import Qemu

        return Qemu.of_this_host()
    if driver == "xen":
        from invirt.host.xen.driver import Xen

        return Xen()
    if driver == "fake":
        from invirt.host.fake import FakeHypervisor

        return FakeHypervisor()
    raise BadConfig(f'hypervisor.driver is "{driver}" in invirt.yaml', hint="It may be xen, qemu or fake.")


def about() -> dict[str, Any]:
    """What this host's hypervisor and its storage are, and can."""
    return {
        "hypervisor": config.hypervisor.driver,
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
