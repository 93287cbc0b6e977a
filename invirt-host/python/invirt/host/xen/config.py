"""A domain's configuration as xl.cfg(5) has it.

xl drops much that it doesn't know, or that can't be, and ends with status 0: words are held against
invirt.host.words before, and what xl understood against what it was told, see invirt.host.xen.xl.
"""

from __future__ import annotations

import re

from invirt.base.errors import BadInput
from invirt.host import paths
from invirt.host.domain import OWN_WORDS, DomainConfig, Value

# Debian's: they boot the kernel that /boot/grub/grub.cfg of the guest's first disk names, so that no
# program of the host reads a guest's file system.
GRUB = {
    "pv": "/usr/lib/grub-xen/grub-x86_64-xen.bin",
    "pvh": "/usr/lib/grub-xen/grub-i386-xen_pvh.bin",
}
# What others have no serial port for.
SERIAL = re.compile(r"(?<!\S)console=ttyS0(,\S*)?(?!\S)")
# A PC's: its console is a serial port's; a tablet, so that the pointer is where the viewer's is.
DRIVES = ("hdc", "hdd", "hda", "hdb")  # a PC's four, of which a CD takes the first that no disk has
MACHINES_CD = "sda"  # as /etc/xen/invirt-database calls its drive
PC: dict[str, Value] = {"serial": "pty", "usb": 1, "usbdevice": ["tablet"], "vga": "stdvga"}


def has_screen(config: DomainConfig) -> bool:
    """Whether its display is to be seen: that of a machine which is a PC is, unless it says vnc = 0."""
    return config.virt == "hvm" and config.machine is not None and config.number("vnc", 1) == 1


def check(config: DomainConfig) -> None:
    """Raises BadInput for what xl takes without a word, and Xen does not do."""
    most = 100 * config.vcpus
    if config.number("cap") > most:
        raise config.refusal(
            "cap", f"= {config.number('cap')} is more than its CPUs have", f"At most {most}."
        )
    if 0 < config.number("maxmem") < config.memory:
        raise config.refusal("maxmem", f"is less than memory, which is {config.memory}")


def words(config: DomainConfig) -> dict[str, Value]:
    """What xl is told of the domain."""
    told = {word: value for word, value in config.settings.items() if word not in (*OWN_WORDS, "builder")}
    told["type"] = virt = config.virt or "pv"
    if virt == "hvm":
        told.update({"disk": _disks(config)} if config.devices("disk") else {})
        return {**told, **{word: told.get(word, value) for word, value in (PC | _screen(config)).items()}}
    for word in {"extra", "cmdline"} & set(told):
        told[word] = SERIAL.sub("console=hvc0", config.text(word))
    if virt in GRUB and "kernel" not in told and "bootloader" not in told:
        told["kernel"] = GRUB[virt]
    return told


def cds(config: DomainConfig) -> dict[str, str]:
    """Where a PC has its CDs, by what its configuration calls their drives.

    Those that it calls as SCSI's (sda), as machines' are, Xen would put where a disk is.
    """
    disks = config.devices("disk")
    free = [place for place in DRIVES if place not in {disk["vdev"] for disk in disks}]
    named = [disk["vdev"] for disk in disks if disk.get("devtype") == "cdrom"]
    if len([vdev for vdev in named if vdev.startswith("sd")]) > len(free):
        raise config.refusal("disk", "leaves no place for a CD: a PC of Xen's has four", "Take one out.")
    return {vdev: free.pop(0) if vdev.startswith("sd") else vdev for vdev in named}


def _disks(config: DomainConfig) -> list[str]:
    """All, CDs where cds() has them."""
    places, told = cds(config), []
    for disk in config.devices("disk"):
        disk["vdev"] = places.get(disk["vdev"], disk["vdev"])
        told.append(", ".join(f"{key}={disk[key]}" for key in sorted(disk, key=lambda key: key == "target")))
    return told


def without_disk(config: DomainConfig, vdev: str) -> DomainConfig:
    """The same, but for the disk, or CD, of that name."""
    texts = config.settings.get("disk", [])
    said = texts if isinstance(texts, list) else [texts]
    kept = [
        str(text) for text, disk in zip(said, config.devices("disk"), strict=True) if disk["vdev"] != vdev
    ]
    return DomainConfig({**config.settings, "disk": kept}, config.place)


def _screen(config: DomainConfig) -> dict[str, Value]:
    """VNC on a socket that lies by the machine's number, and at no port of the network."""
    if not has_screen(config):
        return {"vnc": 0}
    return {"vnc": 1, "vnclisten": f"unix:{paths.screen(config.machine or 0)}", "vncunused": 0}


def rendered(config: DomainConfig) -> str:
    """The file for xl; BadInput for what can't be quoted there."""
    return "".join(f"{word} = {_value(word, value)}\n" for word, value in words(config).items())


def _value(word: str, value: Value) -> str:
    if isinstance(value, list):
        return f"[ {', '.join(_value(word, item) for item in value)} ]"
    if isinstance(value, int):
        return str(int(value))
    if any(letter in '"\\' or not letter.isprintable() for letter in value):
        raise BadInput(f"{word} holds what xl can't be told: {value!a}")
    return f'"{value}"'
