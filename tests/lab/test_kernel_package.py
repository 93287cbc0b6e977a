"""invirt-kernel as dpkg installs, triggers and purges it, on Debian 12 and 13; what it made boots."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from invirt_lab import host, images, packages
from invirt_lab.site import RELEASES

CLOUD, SERVERS = "linux-image-cloud-amd64", "linux-image-amd64"

# In a mount namespace of its own: the release's files with our packages $5…, whose results go to $4.
# Newer kernels are Debian's own by a higher name, one of them cut short.
SCRIPT = """\
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/root" "$1/up" "$1/work"
mount -t overlay -o "lowerdir=$2:$3,upperdir=$1/up,workdir=$1/work" overlay "$1/root"
root=$1/root made=$1/root/var/lib/invirt/kernel out=$4
shift 4
mkdir "$root/debs"
cp "$@" "$root/debs"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
package() { # VERSION BYTES: as linux-image-VERSION has them
    tree=$root/new
    rm -rf "$tree"
    mkdir -p "$tree/boot" "$tree/usr/lib/modules" "$tree/DEBIAN"
    head -c "$2" "$root"/boot/vmlinuz-6*-cloud-amd64 >"$tree/boot/vmlinuz-$1"
    cp -a "$root"/lib/modules/6*-cloud-amd64 "$tree/usr/lib/modules/$1"
    cat >"$tree/DEBIAN/control" <<.
Package: linux-image-$1
Version: 1
Architecture: amd64
Maintainer: Nobody <nobody@invirt.test>
Description: a kernel
.
    inside dpkg-deb --build /new "/debs/$1.deb" >/dev/null
    inside dpkg --install "/debs/$1.deb" >/dev/null
}
say() { echo "$1: $(inside invirt-kernel show)"; }
inside sh -c 'dpkg --install /debs/*.deb' >/dev/null
say installed
cp "$made"/vmlinuz "$made"/initrd "$out"
package 99.1-cloud-amd64 999999999
say upgraded
package 99.2-cloud-amd64 1000000
say broken
inside dpkg --remove linux-image-99.1-cloud-amd64 linux-image-99.2-cloud-amd64 >/dev/null
say removed
inside dpkg --purge invirt-kernel >/dev/null
[ ! -e "$made" ]
echo purged
"""


@pytest.mark.nightly
@pytest.mark.parametrize("release", RELEASES)
def test_kernels_come_and_go(release: int, tmp_path: Path) -> None:
    packages.publish()
    ours, debian = packages.needed("invirt-kernel")
    base = images.base(release)
    wanted = [CLOUD if name == SERVERS else name for name in debian]
    assert CLOUD in wanted
    layer = images.layer("invirt-kernel", base, wanted)
    mount = tmp_path / "mount"
    mount.mkdir()
    words = [*host.ALONE, "sh", "-c", SCRIPT, "sh", mount, layer / "upper", base, tmp_path, *ours]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    told = dict(line.partition(": ")[::2] for line in done.stdout.splitlines())
    first = told["installed"]
    assert first.startswith("6.") and first.endswith("-cloud-amd64")
    assert told == {
        "installed": first,
        "upgraded": "99.1-cloud-amd64",
        "broken": "99.1-cloud-amd64",
        "removed": first,
        "purged": "",
    }
    assert 'what there was stays until "invirt-kernel make" succeeds' in done.stderr
    assert b"guest# " in console(tmp_path)


def console(folder: Path) -> bytes:
    """What a guest of the kernel and ramdisk in folder says up to its prompt, within a minute and a half."""
    machine = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-m", "128"]
    machine += ["-serial", "stdio", "-kernel", f"{folder}/vmlinuz", "-initrd", f"{folder}/initrd"]
    command = ["timeout", "90", *machine, "-append", "console=ttyS0 quiet no_timer_check"]
    said = b""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as guest:
        assert guest.stdout
        while b"guest# " not in said and (more := guest.stdout.read1(4096)):
            said += more
        guest.terminate()
    return said
