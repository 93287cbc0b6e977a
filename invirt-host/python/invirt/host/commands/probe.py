"""invirt-host-probe: whether guests can have KVM."""

from __future__ import annotations

from invirt.base.cli import SITE, Command
from invirt.host import loading
from invirt.host.qemu import probe


def run() -> str:
    """Boot the probe guest; returns what came of it."""
    if loading.driver() != "qemu":
        return f"no probe is needed with {loading.driver()}"
    name, reason = probe.probe()
    return f"guests run with {name}: {reason}"


COMMAND = Command(
    name="invirt-host-probe",
    section=8,
    summary="find out whether guests can have KVM",
    description="Run once at boot. KVM is used only where a probe guest (of package invirt-kernel, or\n"
    "hypervisor.probe_kernel and probe_initrd of invirt.yaml) reaches its prompt in time; the\n"
    "answer is in /run/invirt/accelerator.",
    files={
        **SITE,
        "/run/invirt/accelerator": "what was found: kvm or tcg, and why",
    },
    example="invirt-host-probe",
    run=run,
)
