"""The probe guest, which proves whether KVM works on this host."""

from __future__ import annotations

import time
from pathlib import Path

from invirt import config
from invirt.base.errors import InvirtError
from invirt.host.domain import DomainConfig
from invirt.host.qemu import accelerator
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.supervisor import Alone
from invirt.host.waiting import wait

PROMPT = b"guest# "
NAME = "probe"  # no machine's domain: those begin with d_


def probe() -> tuple[str, str]:
    """Boot the probe guest under KVM, and write down what came of it."""
    name, reason = _probed()
    accelerator.write(name, reason)
    return name, reason


def _probed() -> tuple[str, str]:
    settings = config.hypervisor
    if settings.accelerator != "auto":
        return accelerator.chosen()
    if not settings.probe_kernel:
        return "tcg", "hypervisor.probe_kernel is empty in invirt.yaml"
    if not Path(settings.probe_kernel).exists():
        return "tcg", f"there is no {settings.probe_kernel}, which the package invirt-kernel makes"
    guest = DomainConfig(
        {
            "name": NAME,
            "memory": 128,
            "kernel": settings.probe_kernel,
            "ramdisk": settings.probe_initrd,
            "extra": "console=ttyS0 quiet",
        }
    )
    try:
        seconds = _boot(guest, settings.probe_timeout)
    except InvirtError as error:
        return "tcg", " ".join(str(error).split())
    if seconds is None:
        return "tcg", f"the probe guest reached no prompt within {settings.probe_timeout} seconds of KVM"
    return "kvm", f"the probe guest reached its prompt in {seconds:.1f} seconds"


def _boot(config: DomainConfig, timeout: float) -> float | None:
    """Seconds until the prompt, None if there was none in time."""
    driver, guest, begin = Qemu(Alone("kvm")), Guest(config.name), time.monotonic()
    try:
        driver.create(config)
        up = wait(lambda: PROMPT in guest.log.read_bytes() or not guest.running(), timeout)
        return time.monotonic() - begin if up and guest.running() else None
    finally:
        driver.destroy(config.name)
