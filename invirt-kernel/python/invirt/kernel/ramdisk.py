"""What is in a ramdisk: busybox, a few lines of shell, and what else it names; and the one of guests.

Another one is another Ramdisk in invirt.kernel.ramdisks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from invirt.base import cpio


@dataclass(frozen=True)
class Ramdisk:
    """A first file system.

    folders: parents first.  scripts: what is executable, by name.  modules: the
    kernel's, in the order in which they are loaded.  programs: what busybox can't
    do, or not as well; each lies in usr/bin.
    """

    folders: tuple[str, ...]
    scripts: Mapping[str, str]
    modules: tuple[str, ...]
    programs: tuple[str, ...] = ()

    def archive(self, busybox: bytes, modules: Mapping[str, bytes], programs: Mapping[str, bytes]) -> bytes:
        """The cpio archive.

        modules: the contents of those that aren't built into the kernel.  programs: these and their
        libraries, by their place.
        """
        members = [cpio.folder(name) for name in self.folders]
        members += [cpio.console(), cpio.file("bin/busybox", busybox, 0o755), cpio.link("bin/sh", "busybox")]
        members += [cpio.file(place, data, 0o755) for place, data in sorted(programs.items())]
        members += [cpio.file(name, text.encode(), 0o755) for name, text in self.scripts.items()]
        members += [cpio.file(f"modules/{name}.ko", data) for name, data in sorted(modules.items())]
        return cpio.archive(members)


VIRTIO = (
    *("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    *("failover", "net_failover", "virtio_net", "virtio_blk", "button", "evdev"),
)
XEN = ("xen_blkfront", "xen_netfront")  # as a guest of Xen's
# What each begins with, in etc/rc.
_START = """\
#!/bin/sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in MODULES; do [ ! -f /modules/$module.ko ] || insmod /modules/$module.ko; done
ifconfig lo up
"""
# What the rest of it does in those that are served: a console, Xen's where there is no serial port, the ACPI
# button, and an address.
RC = """\
if grep -q '^0: uart:[^u]' /proc/tty/driver/serial; then tty=ttyS0; else tty=hvc0; fi
ln -s "$tty" /dev/serial
hostname "$(sed -n 's/.*\\bhostname=\\([a-z0-9-]*\\).*/\\1/p' /proc/cmdline)"
acpid -f -l /dev/null -p /tmp/acpid &
for try in 1 2 3 4 5 6 7 8 9; do
    ls -l /proc/$!/fd 2>/dev/null | grep -q input && break  # the button is heard before there is a prompt
    sleep 0.1
done
[ -d /sys/class/net/eth0 ] || exit 0
udhcpc -i eth0 -F "$(hostname)" -s /etc/udhcpc -f >/dev/null 2>&1 &
for try in $(seq 50); do
    ip link show eth0 | grep -q ,UP && break  # it has begun, by taking addresses away: before any prompt
    sleep 0.1
done
"""
_INITTAB = """\
::sysinit:/bin/sh /etc/rc
serial::respawn:-/bin/sh
"""
UDHCPC = """\
#!/bin/sh
# The router may lie outside of the guest's own /32.
case $1 in
deconfig) ip address flush dev $interface; ip link set $interface up;;
bound|renew)
    ip address replace $ip/${mask:-32} dev $interface
    for one in $router; do
        ip route replace $one dev $interface && ip route replace default via $one dev $interface
    done
    for one in $dns; do echo nameserver $one; done >/etc/resolv.conf;;
esac
"""

POWER_OFF = "#!/bin/sh\nsync\nexec /bin/poweroff -f\n"
REBOOT = "#!/bin/sh\nsync\nexec /bin/reboot -f\n"
# Linux runs these when Xen asks for it.
ASKED = {"sbin/poweroff": POWER_OFF, "sbin/reboot": REBOOT}


def started(modules: tuple[str, ...]) -> str:
    """The beginning of an etc/rc that loads these."""
    return _START.replace("MODULES", " ".join(modules))


# A shell on the serial console with the prompt `guest# `, DHCP on eth0, power off by the ACPI button or Xen.
GUEST = Ramdisk(
    folders=("bin", "dev", "etc", "etc/acpi", "etc/acpi/PWRF", "modules", "proc", "sbin", "sys", "tmp"),
    scripts={
        "init": "#!/bin/busybox sh\nexec /bin/busybox init\n",
        "etc/inittab": _INITTAB,
        "etc/rc": started(VIRTIO + XEN) + RC,
        "etc/profile": "export PATH=/bin PS1='guest# '\n",
        "etc/acpi/PWRF/00000080": POWER_OFF,
        "etc/udhcpc": UDHCPC,
        **ASKED,
    },
    modules=VIRTIO + XEN,
)
