"""The words of xl.cfg(5) that a domain's configuration may hold, and what each may be.

xl drops a word that it doesn't know, and much that a word can't be, without a
sound (the 2008 "cpu_cap" is now "cap"), so all of it is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from invirt.base.names import DomainName
from invirt.host import devices

Value = str | int | list[str] | list[int]
Check = Callable[[object], Value]  # returns the value as it is kept; ValueError says what is wrong with it

_END = ("destroy", "restart", "preserve", "rename-restart", "coredump-destroy", "coredump-restart")
_NAME = r"(?![0-9]+$)[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


def text(value: object) -> str:
    """Printable, since it ends up in command lines and in xl's files."""
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {value!a}")
    if not value.isprintable():
        raise ValueError(f"holds letters that can't be printed: {value!a}")
    return value


def domain_name(value: object) -> DomainName:
    """A domain's name: it is a folder's and a unit's too; all digits would be an ID."""
    if not re.fullmatch(_NAME, text(value), re.ASCII):
        raise ValueError(
            f"must be of A-Z, a-z, 0-9, . _ and -, at most 64 and not digits alone, not {value!a}"
        )
    return DomainName(str(value))


def _form(pattern: str, accepted: str) -> Check:
    def check(value: object) -> str:
        if not re.fullmatch(pattern, text(value), re.ASCII):
            raise ValueError(f"must be {accepted}, not {value!a}")
        return str(value)

    return check


def _choice(*words: str) -> Check:
    return _form("|".join(words), ", ".join(words[:-1]) + f" or {words[-1]}")


def _number(least: int, greatest: int = 2**31 - 1) -> Check:
    """A whole number, which may have come from a division or, as text, from the command line."""

    def check(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value, re.ASCII):
            value = int(value)
        if not isinstance(value, int | float) or value != value or abs(value) > 2**63 or int(value) != value:
            raise ValueError(f"must be a whole number, not {value!a}")
        if not least <= value <= greatest:
            raise ValueError(f"must be from {least} to {greatest}, not {int(value)}")
        return int(value)

    return check


def _one_or_several(value: object) -> Value:
    if isinstance(value, list | tuple):
        return [text(item) for item in value]
    return int(value) if isinstance(value, int) else text(value)


def _lines(value: object) -> list[str]:
    """What an installer is told: a file of its own, not a word that anybody sees."""
    return [text(line) for line in value] if isinstance(value, list) else [text(value)]


def _devices(parse: Callable[[str], object]) -> Check:
    """Each a text; one alone, and a tuple, are a list too."""

    def check(value: object) -> list[str]:
        items = value if isinstance(value, list | tuple) else [value]
        for item in items:
            parse(text(item))
        return [str(item) for item in items]

    return check


_flag, _any_number = _number(0, 1), _number(-(2**31))

WORDS: dict[str, Check] = {
    "name": domain_name,
    "type": _choice("pv", "pvh", "hvm"),
    "builder": _choice("generic", "linux", "hvm"),
    "memory": _number(1, 1 << 24),  # MiB
    "maxmem": _number(1, 1 << 24),
    "vcpus": _number(1, 512),
    "maxvcpus": _number(1, 512),
    "disk": _devices(devices.disk),
    "vif": _devices(devices.nic),
    "uuid": _form(_UUID, "a UUID"),
    "boot": _form("[acdn]{1,4}", "letters of a, c, d and n"),
    "cap": _number(0),
    "cpu_weight": _number(1, 65535),
    **dict.fromkeys(("on_poweroff", "on_reboot", "on_crash", "on_watchdog"), _choice(*_END)),
    "on_soft_reset": _choice(*_END, "soft-reset"),
    **dict.fromkeys(
        ("acpi", "apic", "hap", "localtime", "pae", "sdl", "stdvga", "usb", "vnc", "vncunused"), _flag
    ),
    **dict.fromkeys(("rtc_timeoffset", "videoram", "vncdisplay"), _any_number),
    **dict.fromkeys(
        ("bootloader", "cmdline", "extra", "firmware", "kernel", "ramdisk", "root", "vga", "vnclisten"), text
    ),
    **dict.fromkeys(("bootloader_args", "cpus", "serial", "tsc_mode", "usbdevice", "vfb"), _one_or_several),
}
OWN_WORDS: dict[str, Check] = {"machine": _number(1), "install": _lines}  # which xl is not told
KNOWN = WORDS | OWN_WORDS
SEVERAL = ("disk", "vif")  # may be given more than once on a command line
