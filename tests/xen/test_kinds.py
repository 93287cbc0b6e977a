"""The other kinds of guests on a real Xen: a PC that boots from its disk, and a PV guest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from invirt_lab.xen_host import GROUP, Xen
from tests.xen.test_guests import APPLIED, NAME, console, create, joined, told

pytestmark = pytest.mark.nightly

# A file system as a guest's own, with what pvgrub looks for there.
OWN = f"""\
folder=$(mktemp -d)
mkdir -p $folder/boot/grub
cp /boot/vmlinuz-* $folder/boot/vmlinuz
cp /var/lib/invirt/kernel/initrd $folder/boot/initrd
cat >$folder/boot/grub/grub.cfg <<END
linux /boot/vmlinuz console=hvc0 quiet its-own
initrd /boot/initrd
boot
END
mkfs.ext4 -q -d $folder /dev/{GROUP}/{NAME}_hda
"""
SAID = b"booted from its disk\r\n"
# What a PC's firmware begins with: SAID, letter by letter, to the first serial port; then nothing more.
SECTOR = bytes.fromhex("31c0 8ed8 baf803 be167c fc ac 84c0 7403 ee ebf8 f4 ebfd") + SAID + b"\0"


@pytest.fixture
def host(xen: Xen) -> Iterator[Xen]:
    """With a disk that boots."""
    xen.python(APPLIED)
    device = f"/dev/{GROUP}/{NAME}_hda"
    xen.sh(f"lvcreate -q -y -L 64M -n {NAME}_hda {GROUP}")
    sector = SECTOR.ljust(510, b"\0") + b"\x55\xaa"
    xen.python(f"open({device!r}, 'r+b').write({sector!r})")
    yield xen
    xen.sh(f"xl destroy {NAME} 2>/dev/null || true; sleep 2; lvremove -q -y {GROUP}")


def said(host: Xen, what: str) -> None:
    """On its console; what it said before anybody listened is there, too."""
    typed = joined(host)
    typed.expect(what)
    typed.close()


def test_a_pc_boots_from_its_disk_and_shows_its_screen(host: Xen) -> None:
    """Its screen is a unix socket by the machine's number; its QEMU is in the group that bounds its disks."""
    create(host, type="hvm", vif=[], kernel=None, ramdisk=None, extra=None)
    said(host, "booted from its disk")
    group = host.sh(f"find /sys/fs/cgroup -name invirt-domain@{NAME}.service").strip()
    assert "qemu" in host.sh(f"cat $(sed 's,.*,/proc/&/comm,' '{group}/cgroup.procs')")
    hello = """
import socket
from invirt.host import paths
with socket.socket(socket.AF_UNIX) as screen:
    screen.settimeout(60)
    screen.connect(str(paths.screen(17)))
    print(screen.recv(4))
print(seen().state)
Xen(obey=10).reboot(NAME)  # it hears nothing
"""
    assert told(host, hello) == ["b'RFB '", "running"]
    said(host, "booted from its disk")
    assert told(host, "xen.destroy(NAME)\nprint(xen.ended())") == [f"{{'{NAME}': 'poweroff'}}"]


def test_a_pv_guest_boots_and_powers_off(host: Xen) -> None:
    """With Debian's kernel for all machines, which is the host's own."""
    [kernel] = host.sh("ls /boot/vmlinuz-*").split()
    create(host, type="pv", vif=[], kernel=kernel)
    said(host, "guest# ")
    told(host, "xen.shutdown(NAME)")
    host.sh(f"timeout 200 sh -c 'while xl domid {NAME} 2>/dev/null; do sleep 1; done'")
    assert told(host, "print(xen.ended())") == [f"{{'{NAME}': 'poweroff'}}"]


def test_a_pv_guest_boots_the_kernel_of_its_own_disk(host: Xen) -> None:
    """By pvgrub: the host is told of no kernel."""
    host.sh(OWN)
    create(host, type="pv", vif=[], memory=256, kernel=None, ramdisk=None, extra=None)
    typed = console(host)
    typed.sendline("cat /proc/cmdline")
    typed.expect("its-own")
    typed.close()
