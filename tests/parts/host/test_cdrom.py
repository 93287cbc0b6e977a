"""A CD in a real guest's drive: booted, or not, and taken out while it runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from invirt.host.domain import DomainConfig
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.qmp import Qmp
from invirt.host.waiting import wait

SECTOR = 2048
DEADLINE = 120  # seconds for what takes a tenth of that
# Says what follows, up to a zero, at the first serial port, and stands still: cli; ds = 0; si = what
# follows; dx = the port; lodsb; until al is 0: out dx, al; hlt.
SAYS = bytes.fromhex("fa 31c0 8ed8 be167c baf803 ac 84c0 7403 ee ebf8 f4 ebfd")


def says(word: str) -> bytes:
    """A boot sector that says a word."""
    return (SAYS + word.encode() + b"\r\n\0").ljust(510, b"\0") + b"\x55\xaa"


def disc(word: str) -> bytes:
    """A CD that boots by El Torito, and says a word; see that specification, and ECMA-119."""
    boots = b"\0CD001\x01" + b"EL TORITO SPECIFICATION".ljust(64, b"\0") + (19).to_bytes(4, "little")
    last = b"\xffCD001\x01"
    check = b"\x01".ljust(28, b"\0") + (0x10000 - 0xAA55 - 1).to_bytes(2, "little") + b"\x55\xaa"
    entry = b"\x88\0\0\0\0\0" + (4).to_bytes(2, "little") + (20).to_bytes(4, "little")
    sectors = (b"\x01CD001\x01", boots, last, check + entry, says(word))
    return bytes(16 * SECTOR) + b"".join(sector.ljust(SECTOR, b"\0") for sector in sectors)


@pytest.fixture
def pc(home: Path, remus: DomainConfig) -> DomainConfig:
    """A machine that boots as a PC does, with a CD in its drive."""
    [disk] = remus.settings["disk"]
    with Path(str(disk).partition("target=")[2]).open("r+b") as volume:
        volume.write(says("from the disk"))
    cd = home / "disc.iso"
    cd.write_bytes(disc("from the CD"))
    drive = f"format=raw, vdev=sda, devtype=cdrom, access=ro, target={cd}"
    kept = {key: remus.settings[key] for key in ("name", "machine", "memory", "vcpus")}
    return replace(remus, settings={**kept, "type": "hvm", "disk": [disk, drive]})


def heard(guest: Guest, words: bytes) -> bool:
    """Whether it says that, in time."""
    return wait(lambda: words in guest.log.read_bytes(), DEADLINE)


def test_it_boots_from_the_cd_until_that_is_out(qemu: Qemu, pc: DomainConfig) -> None:
    guest = Guest(pc.name)
    qemu.create(replace(pc, settings={**pc.settings, "boot": "dc", "localtime": 1}))
    assert heard(guest, b"from the CD"), guest.log.read_bytes()
    for _ in range(2):  # done already is done
        qemu.eject(pc.name)
    with Qmp(guest.qmp) as qmp:
        [drive] = qmp("query-block")[1:]
        assert drive["qdev"] == "drive-sda" and "inserted" not in drive
        qmp("system_reset")
    assert heard(guest, b"from the disk"), guest.log.read_bytes()


def test_it_boots_from_its_disk_unless_it_is_told_to(qemu: Qemu, pc: DomainConfig) -> None:
    guest = Guest(pc.name)
    qemu.create(pc)
    assert heard(guest, b"from the disk"), guest.log.read_bytes()
    assert b"from the CD" not in guest.log.read_bytes()
    qemu.destroy(pc.name)
    qemu.eject(pc.name)  # of one that is off
