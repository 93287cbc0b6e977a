"""What a QEMU guest of this host can be told: all else is refused before anything starts."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from invirt.base.errors import BadInput, CommandFailed
from invirt.host.domain import OWN_WORDS, DomainConfig
from invirt.host.words import Value

QEMU = "/usr/bin/qemu-system-x86_64"
HONOURED = {
    *("name", "type", "builder", "memory", "vcpus", "uuid", "kernel", "ramdisk", "root", "extra", "cmdline"),
    *("disk", "vif", "on_reboot", "boot", "vnc", "localtime"),
}
# Words that change nothing here, as long as they say what is so anyway.
AS_IT_IS: dict[str, tuple[Value, ...]] = {
    **dict.fromkeys(("acpi", "apic", "pae", "hap", "stdvga"), (1,)),
    **dict.fromkeys(("sdl", "usb", "rtc_timeoffset", "cap"), (0,)),
    **dict.fromkeys(("on_poweroff", "on_crash"), ("destroy",)),
    "vncunused": (0, 1),
    "serial": ("pty",),
    "tsc_mode": ("default",),
    "vga": ("stdvga",),
    "on_reboot": ("restart", "destroy"),
    "boot": ("c", "d", "cd", "dc"),
}
SAME = {"maxmem": "memory", "maxvcpus": "vcpus"}  # nothing is added while a guest runs
MAC = r"[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}"
VIF = r"[a-z][a-z0-9]{0,14}"


def check(config: DomainConfig) -> None:
    """Raises BadInput for what QEMU can't be told, with its place."""
    for word, value in config.settings.items():
        if word in SAME:
            allowed: tuple[Value, ...] = (config.number(SAME[word], 1),)
        else:
            allowed = AS_IT_IS.get(word, (value,) if word in HONOURED or word in OWN_WORDS else ())
        if value not in allowed:
            only = f" It can be: {', '.join(map(str, allowed))}." if allowed else ""
            raise config.refusal(word, f"can't be {value!a} for a guest of QEMU", hint=only.strip())
    if not config.text("kernel") and config.virt != "hvm":
        raise BadInput(
            f"domain {config.name} has no kernel", hint="Only a type of virt hvm boots from its disk."
        )
    if config.number("vnc") and config.virt != "hvm":
        raise config.refusal("vnc", "can't be 1 for a guest that is no PC", hint="Its console is all it has.")
    for device in config.devices("disk"):
        if wrong := _disk(device):
            raise config.refusal("disk", f"{device['vdev']}: {wrong}")
    for device in config.devices("vif"):
        if wrong := _nic(device):
            raise config.refusal("vif", wrong)


def find() -> None:
    """Raises CommandFailed if there is no QEMU."""
    if not Path(QEMU).exists():
        raise CommandFailed(f"{QEMU} is not installed", hint="apt-get install qemu-system-x86")


def _disk(disk: dict[str, str]) -> str:
    """What can't be had of a disk, empty if all can."""
    if not re.fullmatch(r"(hd|sd|vd|xvd)[a-z]", disk["vdev"]):
        return "a whole disk is wanted, such as hda or xvda"
    if disk.get("format", "raw") not in ("raw", "aio"):
        # The guest could write a name of any file into the header of another format.
        return f"format={disk['format']}: disks are raw here; see qemu-img convert"
    if disk.get("access", "rw") not in ("r", "ro", "w", "rw"):
        return f"access={disk['access']}: it can be ro or rw"
    if disk.get("devtype", "disk") not in ("disk", "cdrom"):
        return f"{disk['devtype']}: it can be disk or cdrom"
    if disk.get("access") in ("w", "rw") and disk.get("devtype") == "cdrom":
        return "a cdrom can't be written to: access=ro"
    if not disk["target"].startswith("/"):
        return f'target "{disk["target"]}" doesn\'t begin with /'
    return _others(disk, "target", "format", "vdev", "access", "devtype")


def _nic(nic: dict[str, str]) -> str:
    """What can't be had of a network card, empty if all can."""
    if "bridge" in nic:
        return f"bridge={nic['bridge']}: guests have links of their own, no bridges; see ip= and vifname="
    for key in ("mac", "ip", "vifname"):
        if not nic.get(key):
            return f"a network card has no {key}="
    if not re.fullmatch(MAC, nic["mac"]):
        return f"mac={nic['mac']} is no MAC of a card"
    if not re.fullmatch(VIF, nic["vifname"]):
        return f"vifname={nic['vifname']}: it can be of a-z and 0-9, at most 15 letters"
    for address in nic["ip"].split():
        try:
            ipaddress.ip_address(address)
        except ValueError:
            return f"ip={address} is no address"
    if nic.get("script", "vif-invirtroute") != "vif-invirtroute":
        return f"script={nic['script']}: links are made without one"
    return _others(nic, "mac", "ip", "vifname", "script")


def _others(device: dict[str, str], *known: str) -> str:
    """The first key that QEMU's devices have no use for."""
    return next((f"{key}= has no meaning for a guest of QEMU" for key in device if key not in known), "")
