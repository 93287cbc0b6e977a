"""A domain's configuration, in the words of xl.cfg(5)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from invirt.base.errors import BadInput

Value = str | int | list[str] | list[int]

# What may stand in a configuration.  xl drops a word it doesn't know without a
# sound (the 2008 "cpu_cap" is now "cap"), so a wrong word is refused here.
WORDS = frozenset(
    """
    acpi apic boot bootloader bootloader_args builder cap cmdline cpu_weight cpus disk extra firmware hap
    kernel localtime maxmem maxvcpus memory name on_crash on_poweroff on_reboot on_soft_reset on_watchdog pae
    ramdisk root rtc_timeoffset sdl serial stdvga tsc_mode type usb usbdevice uuid vcpus vfb vga videoram vif
    vnc vncdisplay vnclisten vncunused
    """.split()  # noqa: SIM905
)
# Words of our own, which xl is not told.
OWN_WORDS = frozenset({"machine"})


@dataclass(frozen=True)
class DomainConfig:
    """What `xm create` hands to the host's hypervisor."""

    settings: Mapping[str, Value]

    @property
    def name(self) -> str:
        """d_ and the machine's name."""
        return self.text("name")

    @property
    def machine(self) -> int | None:
        """The number of its machine, which no other ever has; None for a domain that is no machine's."""
        return self.number("machine") or None

    @property
    def memory(self) -> int:
        """MiB."""
        return self.number("memory")

    @property
    def vcpus(self) -> int:
        """How many CPUs the guest sees."""
        return self.number("vcpus", 1)

    def text(self, word: str, default: str = "") -> str:
        """The string that word stands for."""
        return str(self.settings.get(word, default))

    def number(self, word: str, default: int = 0) -> int:
        """The integer that word stands for."""
        value = self.settings.get(word, default)
        if isinstance(value, list):
            raise BadInput(f"{word} of domain {self.name} must be a number, not a list")
        return int(value)

    def devices(self, word: str) -> list[dict[str, str]]:
        """The "key=value, key=value" strings of a list such as vif or disk."""
        value = self.settings.get(word, [])
        items = value if isinstance(value, list) else [value]
        return [dict(_pair(word, part) for part in str(item).split(",")) for item in items]

    def json(self) -> str:
        """For a file that from_json() reads back."""
        return json.dumps(dict(self.settings), indent=1) + "\n"

    @staticmethod
    def from_json(text: str) -> DomainConfig:
        """Read what json() wrote."""
        return DomainConfig(json.loads(text))


def _pair(word: str, part: str) -> tuple[str, str]:
    key, equals, value = part.strip().partition("=")
    if not equals:
        raise BadInput(f'"{part.strip()}" in {word} is not of the form key=value')
    return key, value


def machine_name(domain: str) -> str | None:
    """The machine that a domain's name (d_NAME) belongs to, None for others' domains."""
    return domain[2:] if domain.startswith("d_") else None
