"""Kea under AppArmor, as Debian's kernel enforces it by default: in an emulated machine with that kernel.

Elsewhere in the tests there may be no AppArmor; so what Kea is refused in a
real site would be seen there first.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from invirt.base import templates
from tests.parts.dhcp.conftest import PROGRAM, TEMPLATE, installed
from tests.parts.dhcp.network import ROOT
from tests.parts.realm import Realm

SERVICE = ROOT / "invirt-dhcp/files/etc/invirt/dhcp/pg_service.conf.mako"
PROFILE = ROOT / "invirt-dhcp/files/etc/apparmor.d/usr.sbin.invirt-kea-dhcp4"
KEYTAB = "/run/credentials/kea-dhcp4-server.service/keytab"
SITE = """\
site: {domain: invirt.test, realm: INVIRT.TEST}
database: {hostname: 127.0.0.1}
remote: {hostname: remote.invirt.test}
"""

# An initrd of the release below $2:$3 and what is in the folder $1.
PACK = """\
set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/root /mnt/up /mnt/work
mount -t overlay -o "lowerdir=$2:$3,upperdir=/mnt/up,workdir=/mnt/work" overlay /mnt/root
cp -a "$1/." /mnt/root
cd /mnt/root
find . -xdev \\( -path './usr/share/[!a]*' -o -path './usr/lib/python3*' -o -path ./var \\) \\
    -prune -o -print | busybox cpio -o -H newc
"""
# What systemd does for Kea, and a database's port that asks for Kerberos.
INIT = f"""\
#!/bin/sh
export PATH=/usr/sbin:/usr/bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /tmp
mount -t securityfs securityfs /sys/kernel/security
busybox ip link set lo up
for profile in /etc/apparmor.d/usr.sbin.*kea-dhcp4; do apparmor_parser -K -r "$profile"; done
mkdir -p /run/kea /run/lock/kea {Path(KEYTAB).parent} /tmp/invirt-config-1
cp /keytab {KEYTAB}
cp /etc/kea/invirt-dhcp4.conf /tmp/invirt-config-1/
chown -R _kea: /run/kea /run/lock/kea /run/credentials
echo "== stock"
kea-dhcp4 -t /tmp/invirt-config-1/invirt-dhcp4.conf 2>&1
echo "== check"
invirt-kea-dhcp4 -t /tmp/invirt-config-1/invirt-dhcp4.conf 2>&1 && echo good
echo "== run"
busybox nc -ll -p 5432 -e sh -c 'head -c 8 >/dev/null; printf G; sleep 2' &
export KRB5_CLIENT_KTNAME={KEYTAB} KRB5CCNAME=MEMORY: KEA_LOCKFILE_DIR=/run/lock/kea
export PGSERVICEFILE=/etc/invirt/dhcp/pg_service.conf PGSERVICE=invirt INVIRT_DATABASE=127.0.0.1
caps=+net_bind_service,+net_raw
timeout 120 setpriv --reuid=_kea --regid=_kea --clear-groups --inh-caps=$caps --ambient-caps=$caps \\
    invirt-kea-dhcp4 -c /etc/kea/invirt-dhcp4.conf 2>&1
echo "== log"
dmesg | grep apparmor=
echo "== end"
echo o >/proc/sysrq-trigger
sleep 60
"""


def said(kernel: Path, initrd: Path) -> dict[str, str]:
    """What a machine says on its serial console, by its headings."""
    machine = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-m", "1200"]
    machine += ["-serial", "stdio", "-no-reboot", "-kernel", str(kernel), "-initrd", str(initrd)]
    machine += ["-append", "console=ttyS0 quiet mitigations=off no_timer_check panic=1 rdinit=/init"]
    done = subprocess.run(
        machine, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600
    )
    text = done.stdout.replace("\r", "")
    assert "== end" in text, text
    return dict(part.split("\n", 1) for part in text.split("== ")[1:])


@pytest.mark.nightly
@pytest.mark.parametrize("release", [12, 13])
def test_kea_reads_what_it_needs(release: int, realm: Realm, tmp_path: Path) -> None:
    upper, base = installed(release)
    kernel = ROOT / ".cache/guest"
    subprocess.run([ROOT / "scripts/build-guest", kernel], check=True, stdout=subprocess.DEVNULL)
    ours = tmp_path / "ours"
    files = {
        "init": INIT.encode(),
        "keytab": realm.keytab("host/dhcp.invirt.test").read_bytes(),
        "etc/krb5.conf": (realm.folder / "krb5.conf").read_bytes(),
        "etc/apparmor.d/usr.sbin.invirt-kea-dhcp4": PROFILE.read_bytes(),
        "etc/kea/invirt-dhcp4.conf": _rendered(TEMPLATE, tmp_path).encode(),
        "etc/invirt/dhcp/pg_service.conf": _rendered(SERVICE, tmp_path).encode(),
        "usr/sbin/invirt-kea-dhcp4": PROGRAM.read_bytes(),
        "usr/bin/busybox": Path("/bin/busybox").read_bytes(),
    }
    for name, content in files.items():
        (ours / name).parent.mkdir(parents=True, exist_ok=True)
        (ours / name).write_bytes(content)
        (ours / name).chmod(0o755)
    with (tmp_path / "initrd").open("wb") as initrd:
        pack = ["unshare", "--mount", "sh", "-c", PACK, "sh", str(ours), str(upper), str(base)]
        subprocess.run(pack, stdout=initrd, stderr=subprocess.DEVNULL, check=True, timeout=120)
    shown = said(kernel / "vmlinuz", tmp_path / "initrd")
    assert "Unable to open file" in shown["stock"], "AppArmor does not refuse anything here"
    assert shown["check"].endswith("good\n")
    assert "Cannot contact any KDC" in shown["run"], shown["run"]  # so it has read the key
    denied = [line for line in shown["log"].splitlines() if 'apparmor="DENIED"' in line]
    assert denied
    assert not [line for line in denied if 'profile="kea-dhcp4"' not in line]


def _rendered(template: Path, folder: Path) -> str:
    """What a template of ours makes of a small site."""
    from invirt import config

    (folder / "invirt.yaml").write_text(SITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVIRT_CONFIG", str(folder / "invirt.yaml"))
        config.reload()
        return templates.render(template)
