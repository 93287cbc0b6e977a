"""The disks and network cards of a domain's configuration, in the forms of 2008's xm and of xl.

ValueError says what is wrong with one.
"""

from __future__ import annotations

import re

ORDER = ("target", "format", "vdev", "access")  # of what stands without its key
DISK = {*ORDER, "devtype", "script", "backend", "backendtype"}
NIC = {"mac", "ip", "vifname", "script", "bridge", "type", "model", "rate", "backend", "gatewaydev"}
# What 2008's xm put before the target, and the format that it means.
PREFIX = re.compile(r"(?P<prefix>phy|file|tap2?|aio|raw|qcow2?|vhd|vmdk):")
RAW = ("phy", "file", "tap", "tap2", "aio")


def disk(text: str) -> dict[str, str]:
    """What is said of a disk: key=value, or in the order of ORDER; target=, if any, comes last."""
    rest, *target = re.split(r"(?:^|,)\s*target=", text, maxsplit=1)
    said = {"target": target[0].strip()} if target else {}
    for part in filter(None, map(str.strip, rest.split(","))):
        _add(said, part)
    for key in ("vdev", "target"):
        if not said.get(key):
            raise ValueError(f'"{text}" has no {key}')
    return said


def _add(said: dict[str, str], part: str) -> None:
    key, equals, value = part.partition("=")
    if equals and key.strip().isidentifier():
        _set(said, key.strip(), value.strip(), DISK)
    elif part == "cdrom":
        said["devtype"] = part
    else:
        _place(said, part)


def _place(said: dict[str, str], part: str) -> None:
    """The next of ORDER that isn't said yet; a prefix tells the format, hdc:cdrom the kind."""
    missing = [key for key in ORDER if key not in said]
    if not missing:
        raise ValueError(f'"{part}" is one more than {", ".join(ORDER)}')
    if missing[0] == "target":
        while prefix := PREFIX.match(part):
            said["format"] = "raw" if prefix["prefix"] in RAW else prefix["prefix"]
            part = part[prefix.end() :]
    if missing[0] == "vdev" and ":" in part:
        part, _, said["devtype"] = part.partition(":")
    said[missing[0]] = part


def nic(text: str) -> dict[str, str]:
    """What is said of a network card: key=value, separated by commas."""
    said: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f'"{part}" is not of the form key=value')
        _set(said, key.strip(), value.strip(), NIC)
    return said | ({"mac": said["mac"].lower()} if "mac" in said else {})


def _set(said: dict[str, str], key: str, value: str, known: set[str]) -> None:
    if key not in known:
        raise ValueError(f"{key}= is not known; there is: {', '.join(sorted(known))}")
    if key in said:
        raise ValueError(f"{key}= is given twice")
    said[key] = value
