"""xm as people typed it in 2008, on a real Xen: for a domain of an administrator's own, no machine's."""

from __future__ import annotations

from collections.abc import Iterator

import pexpect
import pytest

from invirt_lab.xen_host import GROUP, Xen
from tests.xen.test_guests import APPLIED, BOOT, told

pytestmark = pytest.mark.nightly

FILE = f"""\
# xm create own which=one
kernel = "/var/lib/invirt/kernel/vmlinuz"
ramdisk = "/var/lib/invirt/kernel/initrd"
type = "pvh"
name = "own-" + which
memory = 4 * 24
vcpus = 2
disk = ["phy:/dev/{GROUP}/own,xvda,w"]
extra = "console=ttyS0 quiet hostname=" + which
on_crash = "restart"
tsc_mode = "native"
"""
OTHER = 'name="d_new--incoming" type="pvh" memory=96 kernel="/var/lib/invirt/kernel/vmlinuz"'


@pytest.fixture(scope="module")
def host(xen: Xen) -> Iterator[Xen]:
    """With the domain's file in /etc/xen, and its disk."""
    xen.python(APPLIED)
    xen.python(f"open('/etc/xen/own', 'w').write({FILE!r})")
    xen.sh(f"lvcreate -q -y -L 64M -n own {GROUP}")
    yield xen
    xen.sh("for name in own-one d_new--incoming; do xl destroy $name 2>/dev/null || true; done")


def typed(host: Xen, *words: str) -> pexpect.spawn:
    """On a terminal."""
    command, *more = host.command(words, terminal=True)
    return pexpect.spawn(command, more, timeout=BOOT, encoding="utf-8", codec_errors="replace")


def xm(host: Xen, *words: str) -> str:
    return host.run("xm", *words).stdout


def refused(host: Xen, *words: str) -> str:
    done = host.run("xm", *words, check=False)
    assert done.returncode
    return done.stderr


def number(host: Xen) -> str:
    return host.sh("xl domid own-one 2>/dev/null || true").strip()


def until(host: Xen, condition: str) -> None:
    host.sh(f"timeout {BOOT} sh -c 'until {condition}; do sleep 1; done'")


def test_from_create_to_destroy(host: Xen) -> None:
    terminal = typed(host, "xm", "create", "-c", "own", "which=one")
    terminal.expect("guest# ")
    terminal.sendline("hostname; cat /sys/class/block/xvda/size")
    terminal.expect("one\r+\n131072\r")
    terminal.sendcontrol("]")
    terminal.expect(pexpect.EOF)

    assert xm(host, "list").splitlines()[0].split() == [*("Name", "ID", "Mem", "VCPUs", "State", "Time(s)")]
    assert xm(host, "list", "own-one").splitlines()[1].split()[:4:2] == ["own-one", "96"]
    assert len(xm(host, "vcpu-list", "own-one").splitlines()) == 3
    xm(host, "vcpu-set", "own-one", "1")
    until(host, "xl vcpu-list own-one | grep -q -- --p")
    assert "own-one" in xm(host, "uptime")
    assert "xen_version" in xm(host, "info") and "Xen version" in xm(host, "dmesg")
    assert xm(host, "sched-credit2", "own-one").split()[-4:] == ["own-one", number(host), "256", "0"]
    assert "51712" in xm(host, "block-list", "own-one")
    top = typed(host, "xm", "top")
    top.expect("own-one")
    top.send("q")
    top.expect(pexpect.EOF)

    xm(host, "pause", "own-one")
    assert "--p---" in xm(host, "list", "own-one")
    xm(host, "unpause", "own-one")
    before = number(host)
    xm(host, "reboot", "own-one")
    assert number(host) not in ("", before)
    again = typed(host, "xm", "console", "own-one")
    again.expect("guest# ")
    again.sendline("x=kept")
    again.expect("guest# ")
    again.close()

    xm(host, "save", "own-one", "/root/saved")
    assert not number(host) and "own-one" not in xm(host, "list")
    xm(host, "restore", "/root/saved")
    again = typed(host, "xm", "console", "own-one")
    again.sendline("\necho $x still")
    again.expect("kept still")
    again.close()

    xm(host, "shutdown", "own-one")
    until(host, "! xl domid own-one 2>/dev/null")
    assert "is off" in refused(host, "pause", "own-one")


def test_a_crash_is_booted_again_where_its_file_says_so(host: Xen) -> None:
    """The observer has it running, since then."""
    xm(host, "create", "own", "which=one")
    terminal = typed(host, "xm", "console", "own-one")
    terminal.expect("guest# ")
    before = number(host)
    terminal.sendline("echo c >/proc/sysrq-trigger")
    terminal.expect(pexpect.EOF)
    until(host, f"[ $(xl domid own-one 2>/dev/null || echo {before}) != {before} ]")
    typed(host, "xm", "console", "own-one").expect("guest# ")
    seen = "print([one.state for one in XenWatch(xen.xl).look() if one.name == 'own-one'])"
    assert told(host, seen) == ["['running']"]
    xm(host, "destroy", "own-one")
    assert not number(host)


def test_domains_of_others_and_one_on_its_way_in(host: Xen) -> None:
    """They are seen, and taken for no machine's."""
    host.sh(f"echo '{OTHER}' | tr ' ' '\\n' >/root/other; xl create -q -p /root/other")
    assert "d_new--incoming" in xm(host, "list")
    assert told(host, "print([one.name for one in xen.domains()], xen.running('d_new'))") == [
        "['Domain-0'] False"
    ]
    assert "machine new" in refused(host, "save", "d_new", "/root/x")
    assert "/root/nothing" in refused(host, "restore", "/root/nothing")
    assert "remctl" in refused(host, "migrate", "d_new", "xen2")
    host.sh("xl destroy d_new--incoming")
