"""Bad weather on a real Xen host: what hangs, is full or gone is said in time; nothing half made stays."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from invirt_lab.xen_host import GROUP, Xen
from tests.xen.test_guests import APPLIED, CONFIG, NAME, told

pytestmark = pytest.mark.nightly

SETTINGS = {**CONFIG, "vif": []}
SAID = f"""
import time
from invirt.host.xen import driver
driver.LONG = 40.0
began = time.monotonic()
def said(act):
    try:
        print(act())
    except InvirtError as error:
        print(error.exit_code, str(error).replace("\\n", " "))
def boot(**more):
    xen.create(DomainConfig({{**json.loads({json.dumps(SETTINGS)!r}), **more}}))
"""
TIME = "print(time.monotonic() - began < {most})"
# Before all else: a domain's unit on an emulated host is before nearly all.
BY_ITSELF = "nohup nice -n -20 timeout 100 sh -c '{}' >/dev/null 2>&1 &"


@pytest.fixture
def host(xen: Xen) -> Iterator[Xen]:
    """With a disk for remus; afterwards nothing of it is there."""
    xen.python(APPLIED)
    xen.sh(f"lvcreate -q -y -L 64M -n {NAME}_hda {GROUP}")
    yield xen
    assert NAME not in xen.sh("xl list")
    xen.sh(f"lvremove -q -y {GROUP}")


def lines(host: Xen, script: str) -> list[str]:
    """What a script says; boot(): remus, said(): what an act returns, or its code and words."""
    return told(host, SAID + script)


def test_a_group_that_is_missing(host: Xen) -> None:
    script = f"""
said(lambda: boot(disk=["format=raw, vdev=hda, access=rw, target=/dev/gone/{NAME}_hda"]))
said(Lvm("gone").sizes)
"""
    boot, sizes = lines(host, script)
    assert boot.startswith("9 d_remus did not start") and 'Volume group "gone" not found' in boot
    assert sizes.startswith("9 this host has no volume group gone")


def test_a_disk_that_is_full(host: Xen) -> None:
    """The host's own: what it has to write down comes first, and half of that doesn't stay."""
    host.sh("rm -rf /var/lib/invirt/domains; mkdir -m 700 /var/lib/invirt/domains")
    try:
        host.sh(
            "fallocate -l $(($(stat -f -c '%f * %S' /) - (64 << 20))) /full; cat /dev/zero >/full2", False
        )
        [said] = lines(host, "said(boot)")
    finally:
        host.sh("rm -f /full /full2")
    assert said.startswith("6 /var/lib/invirt/domains/d_remus can't be written: No space left"), said
    assert host.sh("ls -A /var/lib/invirt/domains").split() == []


def test_an_xl_that_hangs(host: Xen) -> None:
    """It is ended, and what it had made with it; the next one boots."""
    host.sh(BY_ITSELF.format('until pkill -STOP -f "[x]l create -q"; do sleep 0.05; done'))
    said, soon, runs = lines(host, f"said(boot)\n{TIME.format(most=200)}\nsaid(lambda: xen.running(NAME))")
    assert said.startswith("9 d_remus did not start") and (soon, runs) == ("True", "False"), said
    assert lines(host, "driver.LONG = 300.0\nsaid(boot)\nxen.destroy(NAME)") == ["None"]


def test_a_clock_that_was_wrong(host: Xen) -> None:
    """As after a snapshot: it comes from the past, and is set right while the guest runs."""
    host.sh("date --set '-3 days'")
    try:
        assert lines(host, "driver.LONG = 300.0\nsaid(boot)\nprint(seen().state)") == ["None", "running"]
    finally:
        host.sh("date --set '+3 days'")
    assert lines(host, "xen.destroy(NAME)\nprint(xen.ended(), seen().why)") == [
        f"{{'{NAME}': 'poweroff'}} killed"
    ]


def test_a_xenstored_that_hangs(host: Xen) -> None:
    """Nobody is told then that a guest which runs is off."""
    assert lines(host, "driver.LONG = 300.0\nsaid(boot)") == ["None"]
    host.sh("pkill -STOP -x oxenstored")
    try:
        said, soon = lines(host, f"said(lambda: xen.running(NAME))\n{TIME.format(most=100)}")
    finally:
        host.sh("pkill -CONT -x oxenstored")
    assert said.startswith("9 no end within") and soon == "True", said
    assert lines(host, "said(lambda: xen.running(NAME))\nxen.destroy(NAME)") == ["True"]


def test_a_xenstored_that_is_gone(xen: Xen) -> None:
    """It comes back with the host alone; till then nobody is told that a guest is off, and none is booted."""
    xen.python(APPLIED)
    xen.sh(f"lvcreate -q -y -L 64M -n {NAME}_hda {GROUP}")
    assert lines(xen, "driver.LONG = 300.0\nsaid(boot)") == ["None"]
    xen.sh("pkill -KILL -x oxenstored")
    script = f"""
said(lambda: xen.running(NAME))
said(xen.ended)
said(lambda: boot(name="d_romulus"))
{TIME.format(most=200)}
"""
    *told, soon = lines(xen, script)
    assert soon == "True" and all(said.startswith("9 ") for said in told), told
