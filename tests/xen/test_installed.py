"""Debian put on a guest's disk by the guest itself, on a real Xen; pvgrub boots it."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from invirt.autoinstaller import bases, signing
from invirt.host import installing
from invirt_lab.xen_host import GROUP, Xen
from tests.parts.autoinstaller.guests import SECRET, STEP, asked
from tests.parts.autoinstaller.serving import kept
from tests.xen.test_guests import ADDRESS, APPLIED, NAME, create, told

pytestmark = pytest.mark.nightly

DEADLINE = 1800  # seconds for what takes a real host two minutes
SUITE, PUBLIC = "debian-12", "/srv/public"
# A server behind the host, as guests may speak to none on it; and who answers DHCP on their link.
SERVER = f"""\
ip netns add server
ip link add served type veth peer name eth0 netns server
ip address add 198.51.100.1/24 dev served
ip link set served up
ip -n server address add 198.51.100.2/24 dev eth0
ip -n server link set eth0 up
ip -n server route add default via 198.51.100.1
sysctl -q net.ipv4.ip_forward=1
systemd-run -q --unit served-files ip netns exec server python3 -m http.server --directory {PUBLIC} 8180
printf '%s\\n' "interface inv17" "start {ADDRESS}" "end {ADDRESS}" "lease_file /run/leases" \\
    "option subnet 255.255.255.255" "option router 192.0.2.1" >/run/udhcpd.conf
: >/run/leases
systemd-run -q --unit served-addresses sh -c '
    while sleep 1; do
        [ -d /sys/class/net/inv17 ] || continue
        ip address replace 192.0.2.1/32 dev inv17 && timeout 60 busybox udhcpd -f /run/udhcpd.conf
    done'
"""


@pytest.fixture(scope="module")
def host(xen: Xen, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Xen, Path]]:
    """With a disk for remus, and a server of bases; the folder of their key."""
    state = tmp_path_factory.mktemp("bases")
    kept(checkout, state, SUITE)
    xen.sh(f"mkdir -p {PUBLIC}")
    packed = subprocess.run(
        ["tar", "-C", str(state / bases.PUBLIC), "-c", SUITE], check=True, capture_output=True, timeout=60
    ).stdout
    subprocess.run(xen.command(["tar", "-C", PUBLIC, "-x"]), input=packed, check=True, timeout=DEADLINE)
    xen.python(APPLIED)
    xen.sh(SERVER)
    xen.sh(f"lvcreate -q -y -L 2G -n {NAME}_hda {GROUP}")
    yield xen, state
    xen.sh(f"xl destroy {NAME} 2>/dev/null || true")


def parameters(state: Path) -> list[str]:
    words = ["openssl", "passwd", "-6", "-stdin"]
    hashed = subprocess.run(words, input=SECRET, check=True, capture_output=True, text=True).stdout.strip()
    return [
        "hostname remus",
        f"name {SUITE}",
        "architecture amd64",
        f"url http://198.51.100.2:8180/{SUITE}",
        f"keyring {base64.b64encode((state / signing.KEYRING).read_bytes()).decode()}",
        f"password {hashed}",
    ]


def console(xen: Xen) -> pexpect.spawn:
    command, *words = xen.command(["xl", "console", NAME], terminal=True)
    return pexpect.spawn(command, words, timeout=DEADLINE, encoding="utf-8", codec_errors="replace")


def off(xen: Xen) -> None:
    xen.sh(
        f"timeout {DEADLINE} sh -c 'while xl domid {NAME} 2>/dev/null; do sleep 1; done'", timeout=DEADLINE
    )


@pytest.fixture(scope="module", params=["pvh", "pv"])
def installed(host: tuple[Xen, Path], request: pytest.FixtureRequest) -> tuple[Xen, str]:
    """In a guest of that kind.  What the installer is told nobody sees but it; it ends by itself."""
    xen, state = host
    secrets = parameters(state)
    create(
        xen,
        **{"type": request.param, "memory": 512, "cap": None, "on_reboot": "destroy", "install": secrets},
        **{"kernel": installing.KERNEL, "ramdisk": installing.RAMDISK},
        extra=f"{installing.APPEND} mitigations=off",
    )
    seen = xen.sh(
        "xl list -l; xenstore-ls; cat /proc/[0-9]*/cmdline 2>/dev/null || true; "
        "grep -r . /var/lib/invirt/domains /var/lib/invirt/guests; find /run/invirt /tmp -name ramdisk"
    )
    assert "console=hvc0" in seen and "/ramdisk\n" not in seen
    assert not [line for line in secrets[4:] if line.partition(" ")[2] in seen]

    typed, said = console(xen), []
    while typed.expect(STEP) == 0:
        said.append(typed.match[1])
    typed.close()
    assert said and said[-1] == "100% done", typed.before
    off(xen)
    assert told(xen, "print(xen.ended())") == [f"{{'{NAME}': 'poweroff'}}"]
    return xen, request.param


@pytest.mark.timeout(3 * DEADLINE)
def test_pvgrub_boots_it_to_a_login(installed: tuple[Xen, str]) -> None:
    """By the kernel on its disk; its network is its own."""
    xen, kind = installed
    create(xen, type=kind, memory=512, cap=None, kernel=None, ramdisk=None, extra=None)
    typed = console(xen)
    typed.expect("remus login: ")
    typed.sendline("root")
    typed.expect("Password: ")
    typed.sendline(SECRET)
    typed.expect("root@remus:.*# ")
    asked(typed, "stty -echo; export TERM=dumb; bind 'set enable-bracketed-paste off'; PS1=")
    assert "cloud-amd64" in asked(typed, "uname -r")
    assert asked(typed, "cat /sys/hypervisor/guest_type").strip() == kind.upper()
    waited = "for i in $(seq 120); do ip -4 -brief address | grep 192 && break; sleep 2; done"
    assert ADDRESS in asked(typed, waited)
    assert asked(typed, "systemctl --failed --no-legend --no-pager") == ""
    typed.sendline("poweroff")
    off(xen)
    typed.close()
