"""The ramdisk that a machine is rescued with: the guests', and what mends file systems and volumes."""

from __future__ import annotations

from invirt.kernel.installer import FILE_SYSTEM
from invirt.kernel.ramdisk import GUEST, RC, VIRTIO, XEN, Ramdisk, started

_MODULES = (*VIRTIO, *XEN, *FILE_SYSTEM, "dm_mod")
# What lvm is called by; and e2fsck.
_NAMES = """\
for verb in change convert create display extend reduce remove rename resize s scan; do
    ln -s lvm "/usr/bin/lv$verb"
done
verbs="cfgbackup cfgrestore change ck create display export extend import merge reduce remove rename s scan"
for verb in $verbs split; do
    ln -s lvm "/usr/bin/vg$verb"
done
for verb in change ck create display move remove resize s scan; do ln -s lvm "/usr/bin/pv$verb"; done
for kind in ext2 ext3 ext4; do
    ln -s e2fsck "/usr/bin/fsck.$kind"
    ln -s mke2fs "/usr/bin/mkfs.$kind"
done
"""
_LVM = """\
# Nobody is here that makes the nodes in /dev, or says which devices there are, but lvm itself.
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
devices { obtain_device_list_from_udev = 0 external_device_info_source = "none" use_devicesfile = 0 }
"""
# The shell is busybox, which takes its own programs of these names wherever PATH leads.
_PROFILE = """\
export PATH=/usr/bin:/bin HOME=/root TERM=linux PS1='rescue# '
for name in mke2fs tar tune2fs; do alias "$name=/usr/bin/$name"; done
cd
cat /etc/motd
"""
_MOTD = """\

This is a rescue system: nothing of the machine's own runs, and none of its disks is mounted.

    blkid                          what is on its disks
    fsck.ext4 -f /dev/vda1         mends a file system
    mount /dev/vda1 /mnt           then: chroot /mnt, for the programs of the machine's own
    vgchange -ay; lvs              logical volumes
    ssh, scp                       to other computers

`control NAME reboot` (invirt reboot NAME) ends it, and boots the machine's own system.

"""

RESCUE = Ramdisk(
    folders=(
        *GUEST.folders,
        *("etc/lvm", "lib", "lib64", "mnt", "root", "run", "run/lock", "run/lvm", "usr", "usr/bin"),
    ),
    scripts={
        **GUEST.scripts,
        "etc/rc": started(_MODULES) + _NAMES + RC,
        "etc/profile": _PROFILE,
        "etc/motd": _MOTD,
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
        "etc/lvm/lvm.conf": _LVM,
    },
    modules=_MODULES,
    programs=("e2fsck", "lvm", "mke2fs", "resize2fs", "scp", "sfdisk", "ssh", "tar", "tune2fs", "zstd"),
)
