"""What an emulated Xen host boots: Debian's Xen and kernel, and a disk with our packages.

Kept in the cache under a hash of what it was made from; see invirt_lab.images.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from invirt.base.process import run
from invirt.kernel.ramdisk import Ramdisk, started
from invirt.kernel.source import newest
from invirt_lab import host, images, packages

_PACKAGES = (
    *("linux-image-amd64", "xen-system-amd64", "qemu-system-xen", "grub-xen-host"),
    *("lvm2", "thin-provisioning-tools"),
    *("lvm2-lockd", "dlm-controld", "corosync", "sanlock"),  # for a volume group of several hosts; off
    *("busybox-static", "kmod", "udev", "openssh-server", "e2fsprogs", "socat"),
)
_MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"),
    *("crc16", "crc32c_generic", "mbcache", "jbd2", "ext4"),
)
_MOUNT = """\
while [ ! -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda /root
exec switch_root /root /sbin/init
"""
# Debian's own is ten times the size, and an emulated machine takes a minute to unpack that.
RAMDISK = Ramdisk(
    folders=("bin", "dev", "modules", "proc", "root", "sys"),
    scripts={"init": started(_MODULES) + _MOUNT},
    modules=_MODULES,
)


def made(role: bool = True) -> Path:
    """The folder of xen.elf, vmlinuz, initrd, root.img and key, made if it isn't cached.

    role: with our packages; else they wait in its /srv/archive, with apt told of them.
    """
    packages.publish()
    base = images.base()
    wanted = {*_PACKAGES, *packages.needed("invirt-host")[1], *packages.needed("invirt-kernel")[1]}
    wanted |= set() if role else {"grub2-common"}  # which Debian's installer leaves
    layer = images.layer("xen-host" if role else "xen-bare", base, sorted(wanted)) / "upper"
    script = Path(__file__).with_name("make-xen-root")
    ours = "invirt-host invirt-kernel" if role else ""
    parts = (layer.parent.name, packages.key(), script.read_text(), Path(__file__).read_text(), ours)
    with images.kept("xen-image" if role else "xen-debian", base, *parts) as (done, new):
        if new:
            _make(layer, base, new, script, ours)
    return done


def _make(layer: Path, base: Path, new: Path, script: Path, ours: str) -> None:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(new / "key")])
    run([*host.ALONE, "sh", str(script), *map(str, (layer, base, new, packages.ARCHIVE, ours))], timeout=600)
    source = newest(new / "parts")
    archive = RAMDISK.archive(source.busybox.read_bytes(), source.read_modules(_MODULES), {})
    (new / "initrd").write_bytes(archive)
    shutil.rmtree(new / "parts")
