"""Whether QEMU's guests get KVM: only where a probe guest has proved that it works.

/dev/kvm may be there and yet be of no use (nested, or emulated).
"""

from __future__ import annotations

from invirt import config
from invirt.host import paths


def chosen() -> tuple[str, str]:
    """The accelerator, kvm or tcg, and why it is that one."""
    if config.hypervisor.accelerator != "auto":
        return config.hypervisor.accelerator, "invirt.yaml says so"
    try:
        name, reason = (paths.run() / "accelerator").read_text().rstrip().split(": ", 1)
        return name, reason
    except FileNotFoundError:
        return "tcg", "invirt-host-probe did not run"


def write(name: str, reason: str) -> None:
    """Keep what a probe found until the host's reboot."""
    paths.write(paths.run() / "accelerator", f"{name}: {reason}\n")
