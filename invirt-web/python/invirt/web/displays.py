"""Which machines have a screen."""

from __future__ import annotations

from invirt.base.errors import NotFound


def has(virt: str) -> bool:
    """Whether a machine of such a type has one: what boots like a PC; see invirt.host.qemu.screen."""
    return virt == "hvm"


def check(name: str, type_name: str, virt: str) -> None:
    """Raises NotFound for a machine that has none."""
    if not has(virt):
        raise NotFound(
            f"{name} has no screen: its type {type_name} has a serial console alone",
            hint="A machine of a type that boots like a PC has one.",
        )
