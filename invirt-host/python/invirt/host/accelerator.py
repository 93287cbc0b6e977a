"""Whether QEMU's guests get KVM: only where a probe guest has proved that it works.

/dev/kvm may be there and yet be of no use (nested, or emulated).
"""

from __future__ import annotations

import time

from invirt.base.errors import InvirtError
from invirt.host import paths
from invirt.host.domain import DomainConfig
from invirt.host.guest import Guest

PROMPT = b"guest# "
NAME = "probe"  # no machine's domain: those begin with d_


def chosen() -> tuple[str, str]:
    """The accelerator, kvm or tcg, and why it is that one."""
    from invirt import config

    if config.hypervisor.accelerator != "auto":
        return config.hypervisor.accelerator, "invirt.yaml says so"
    try:
        name, reason = (paths.run() / "accelerator").read_text().rstrip().split(": ", 1)
        return name, reason
    except FileNotFoundError:
        return "tcg", "invirt-host-probe did not run"


def probe() -> tuple[str, str]:
    """Boot the probe guest under KVM, and write down what came of it."""
    name, reason = _probed()
    paths.write(paths.run() / "accelerator", f"{name}: {reason}\n")
    return name, reason


def _probed() -> tuple[str, str]:
    from invirt import config

    settings = config.hypervisor
    if settings.accelerator != "auto":
        return chosen()
    if not settings.probe_kernel:
        return "tcg", "hypervisor.probe_kernel is not set in invirt.yaml"
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
    from invirt.host.qemu import Qemu, wait
    from invirt.host.supervisor import Alone

    driver, guest, begin = Qemu(Alone("kvm")), Guest(config.name), time.monotonic()
    try:
        driver.create(config)
        up = wait(lambda: PROMPT in guest.log.read_bytes() or not guest.running(), timeout)
        return time.monotonic() - begin if up and guest.running() else None
    finally:
        driver.destroy(config.name)
