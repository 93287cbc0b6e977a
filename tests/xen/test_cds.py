"""A CD in the drive of a PC on a real Xen: booted, and taken out while it runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from invirt_lab.xen_host import GROUP, Xen
from tests.parts.host.test_cdrom import SAYS, disc, says
from tests.xen.test_guests import APPLIED, NAME, create, told
from tests.xen.test_kinds import said

pytestmark = pytest.mark.nightly

DISK = f"format=raw, vdev=hda, access=rw, target=/dev/{GROUP}/{NAME}_hda"
CD = "format=raw, vdev=sda, devtype=cdrom, access=ro, target=/root/disc.iso"
MEDIA = "xl list -l d_remus | grep -c disc.iso || true"


def heeding(sectors: bytes) -> bytes:
    """With interrupts: Xen takes a PC for off that halts without."""
    return sectors.replace(SAYS, b"\x90" + SAYS[1:])


@pytest.fixture
def host(xen: Xen) -> Iterator[Xen]:
    """With a disk and a CD, of which each says its word."""
    xen.python(APPLIED)
    device = f"/dev/{GROUP}/{NAME}_hda"
    xen.sh(f"lvcreate -q -y -L 64M -n {NAME}_hda {GROUP}")
    xen.python(f"open({device!r}, 'r+b').write({heeding(says('from the disk'))!r})")
    xen.python(f"open('/root/disc.iso', 'wb').write({heeding(disc('from the CD'))!r})")
    yield xen
    xen.sh(f"xl destroy {NAME} 2>/dev/null || true; sleep 2; lvremove -q -y {GROUP}")


def test_it_boots_from_the_cd_until_that_is_out(host: Xen) -> None:
    """Its pointer is a tablet's."""
    pc = {"type": "hvm", "vif": [], "kernel": None, "ramdisk": None, "extra": None, "disk": [DISK, CD]}
    create(host, **pc)
    said(host, "from the disk")
    told(host, "xen.destroy(NAME)")

    create(host, **pc, boot="dc")
    said(host, "from the CD")
    assert "QEMU USB Tablet" in host.sh(f"xl qemu-monitor-command {NAME} 'info usb'")
    assert host.sh(MEDIA).strip() == "1"
    for _ in range(2):  # done already is done
        told(host, "xen.eject(NAME)")
    assert host.sh(MEDIA).strip() == "0"
    told(host, "Xen(obey=10).reboot(NAME)")
    said(host, "from the disk")
