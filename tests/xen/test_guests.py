"""A guest on a real Xen: booted, typed at, pinged, asked, crashed, ended; what xl would drop."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pexpect
import pytest

from invirt_lab.xen_host import GROUP, Xen

pytestmark = pytest.mark.nightly

NAME = "d_remus"
ADDRESS = "192.0.2.17"
YAML = """\
site: {domain: invirt.test, realm: INVIRT.TEST}
database: {hostname: db.invirt.test}
remote: {hostname: remote.invirt.test}
hypervisor: {driver: xen}
"""
APPLIED = f"""\
from invirt import config
from invirt.config import parsed
from pathlib import Path
for file in (Path("/etc/invirt/invirt.yaml"), config.applied()):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text({YAML!r})
config.kept().write_text(parsed.written(config.applied(), config.load(config.applied())))
"""  # as invirt-config apply does, without the units that want a site
DISK = f"format=raw, vdev=hda, access=rw, target=/dev/{GROUP}/{NAME}_hda"
CONFIG = {
    "name": NAME,
    "machine": 17,
    "type": "pvh",
    "memory": 96,
    "vcpus": 1,
    "cap": 60,
    "disk": [DISK],
    "vif": [f"mac=52:54:00:00:00:11, ip={ADDRESS}, vifname=inv17, script=vif-invirtroute"],
    "kernel": "/var/lib/invirt/kernel/vmlinuz",
    "ramdisk": "/var/lib/invirt/kernel/initrd",
    "extra": "console=hvc0 quiet hostname=remus",
    "on_poweroff": "destroy",
    "on_reboot": "restart",
    "on_crash": "destroy",
    "tsc_mode": "native",  # an emulated processor's is no other
}
SCRIPT = f"""\
import json, sys
from invirt.base.errors import InvirtError
from invirt.host.domain import DomainConfig
from invirt.host.protocols import Limits
from invirt.host.storage.lvm import Lvm
from invirt.host.xen.driver import Xen
from invirt.host.xen.watch import XenWatch
xen, disks, NAME = Xen(obey=200), Lvm("{GROUP}"), "{NAME}"
def seen():
    return next(one for one in XenWatch(xen.xl).look() if one.name == NAME)
"""
BOOT = 240  # seconds until a guest's prompt: an emulated one's
MEASURED = 20  # seconds


def told(xen: Xen, script: str) -> list[str]:
    """What a script prints; xen: the driver, disks: the group."""
    return xen.python(SCRIPT + script).splitlines()


@pytest.fixture
def host(xen: Xen) -> Iterator[Xen]:
    """With a disk for remus."""
    xen.python(APPLIED)
    xen.sh(f"lvcreate -q -y -L 1G -n {NAME}_hda {GROUP}")
    yield xen
    xen.sh(f"xl destroy {NAME} 2>/dev/null || true; sleep 2; lvremove -q -y {GROUP}")


def create(host: Xen, **more: object) -> None:
    settings = json.dumps({word: value for word, value in (CONFIG | more).items() if value is not None})
    told(host, f"xen.create(DomainConfig(json.loads({settings!r})))")


def joined(host: Xen) -> pexpect.spawn:
    """On its console; what it said before anybody listened comes first."""
    command, *words = host.command(["xl", "console", NAME], terminal=True)
    return pexpect.spawn(command, words, timeout=BOOT, encoding="utf-8")


def console(host: Xen) -> pexpect.spawn:
    """Typed at, once it shows its prompt."""
    typed = joined(host)
    typed.expect("guest# ")
    return typed


def typed_for(typed: pexpect.spawn, line: str) -> str:
    """What a line prints."""
    typed.sendline(line)
    typed.expect("guest# ")
    return str(typed.before)


def test_a_guest_that_runs_and_crashes(host: Xen) -> None:
    """Pinged by its guarded link; its disk grows under it, and can't be taken away."""
    create(host)
    typed = console(host)
    typed.sendline("echo 2 to the $((3 + 4)); cat /sys/class/block/xvda/size; ip -4 address show dev eth0")
    typed.expect("2 to the 7.*2097152")
    typed.sendline(
        f"killall udhcpc; ip address add {ADDRESS}/32 dev eth0; ip route add default dev eth0; echo s''o"
    )
    typed.expect("so\r")
    assert "3 received" in host.sh(f"ping -c 3 -W 10 {ADDRESS}")

    rows = told(
        host,
        """
print(*[(one.name, one.memory, one.vcpus) for one in xen.domains() if one.name == NAME])
print(seen().state, seen().machine)
for act in (lambda: disks.rename("remus", "hda", "romulus", "hda"), lambda: disks.resize("remus", "hda", 2)):
    try:
        print(act())
    except InvirtError as error:
        print(type(error).__name__)
print(xen.xl("sched-credit2", "-d", NAME).split()[-1])
xen.create(DomainConfig({"name": NAME}))  # runs already
""",
    )
    assert rows == [f"('{NAME}', 96, 1)", "running 17", "Busy", "None", "60"]
    typed.sendline("dd if=/dev/xvda of=/dev/null bs=1k count=1; cat /sys/class/block/xvda/size")
    typed.expect("4194304")

    typed.sendline("sync; echo c >/proc/sysrq-trigger")
    typed.expect(pexpect.EOF)
    assert told(host, "print(xen.ended(), seen().why)") == [f"{{'{NAME}': 'crash'}} crash"]


def test_a_guest_that_reboots_and_is_ended(host: Xen) -> None:
    create(host, vif=[])
    console(host).close()
    before = host.sh(f"xl domid {NAME}")
    told(host, "xen.reboot(NAME)")
    assert host.sh(f"xl domid {NAME}") != before
    console(host).close()
    told(host, "xen.shutdown(NAME)")
    host.sh(f"timeout 200 sh -c 'while xl domid {NAME} 2>/dev/null; do sleep 1; done'")
    assert told(host, "print(xen.ended())") == [f"{{'{NAME}': 'poweroff'}}"]

    create(host, vif=[])
    script = """
xen.pause(NAME)
print(seen().state)
xen.limit(NAME, Limits(cap=30, weight=200))
print(xen.show("sched-credit2", [NAME]).split()[-2:])
for times in range(2):
    xen.destroy(NAME)
print(xen.running(NAME), seen().why)
"""
    assert told(host, script) == ["paused", "['512', '30']", "False killed"]


def test_a_cap_holds(host: Xen) -> None:
    """As the processor time of a guest that takes what it is given has it."""
    create(host, vif=[])
    typed = console(host)
    typed.sendline("while :; do :; done &")
    typed.expect("guest# ")
    script = f"""
import time
def share(cap):
    xen.limit(NAME, Limits(cap=cap))
    before, began = xen.xl.row(NAME).seconds, time.monotonic()
    time.sleep({MEASURED})
    return (xen.xl.row(NAME).seconds - before) / (time.monotonic() - began)
print(share(20), share(None), share(20))
"""
    before, free, after = map(float, told(host, script)[0].split())
    assert 0.1 < before < 0.3 and 0.1 < after < 0.3, (before, free, after)
    assert free > 0.5, (before, free, after)


def test_disks_are_as_slow_as_they_are_to_be(host: Xen) -> None:
    """Also one that is connected anew, as guests may do; free again in the end, and nothing is left."""
    create(host, vif=[])
    typed = console(host)
    free = read(typed, 0)
    before = held(host, "disk=1")
    assert read(typed, 8) > 6 > free
    host.sh(f"xl block-detach {NAME} hda; xl block-attach {NAME} '{DISK}'")
    typed_for(typed, "while ! [ -b /dev/xvda ]; do sleep 1; done")
    assert held(host, "disk=1") != before
    assert read(typed, 16) > 6
    held(host, "operations=2")
    assert read(typed, 24) > 6
    held(host, "")
    assert read(typed, 32) < 6
    typed.sendline("poweroff -f")
    typed.expect(pexpect.EOF)
    host.sh(f"timeout 60 sh -c 'while systemctl -q is-active invirt-domain@{NAME}; do sleep 1; done'")
    assert not host.sh(f"find /sys/fs/cgroup -name 'invirt-domain@{NAME}.service'")


def read(typed: pexpect.spawn, skip: int) -> float:
    """Seconds that 8 MiB of a disk take, after so many that aren't read."""
    began = time.monotonic()
    assert "8+0 records out" in typed_for(typed, f"dd if=/dev/xvda of=/dev/null bs=1M count=8 skip={skip}")
    return time.monotonic() - began


def held(host: Xen, limits: str) -> str:
    """Hold it to them; returns what tells this launch of it, and its disks' threads, from others."""
    said = told(host, f"xen.limit(NAME, Limits({limits})); print(*xen.births().values())")
    return said[0]


@pytest.mark.parametrize(
    ("word", "value", "why"),
    [
        ("cap", 70000, "cap = 70000 is more than its CPUs have"),
        ("maxmem", 64, "maxmem is less than memory"),
        ("kernel", "/nowhere", "did not start"),
    ],
)
def test_what_cant_be_had_is_said(host: Xen, word: str, value: object, why: str) -> None:
    """xl takes the first two without a word."""
    settings = json.dumps(CONFIG | {word: value, "vif": []})
    script = f"""
try:
    xen.create(DomainConfig(json.loads({settings!r})))
except InvirtError as error:
    print(error.message)
print(len(xen.domains()))
"""
    said, *_, domains = told(host, script)
    assert why in said and domains == "1"
