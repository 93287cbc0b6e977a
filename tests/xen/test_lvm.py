"""Disks in a host's own volume group, by real LVM."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from invirt_lab.xen_host import GROUP, Xen

pytestmark = pytest.mark.nightly

SCRIPT = f"""\
from invirt.base.errors import InvirtError
from invirt.host.storage.lvm import Lvm
disks = Lvm("{GROUP}")
def said(act, *words):
    try:
        return act(*words)
    except InvirtError as error:
        return type(error).__name__ + ": " + str(error)
"""


@pytest.fixture
def group(xen: Xen) -> Iterator[Xen]:
    """A host whose group is empty, before and after."""
    yield xen
    xen.sh(f"lvremove -q -y {GROUP}; lvs --noheadings {GROUP}")


@pytest.fixture
def thin(group: Xen) -> Xen:
    """A host whose group has a thin pool of 4 GiB."""
    group.sh(f"lvcreate -q --type thin-pool --size 4g --name thin {GROUP}")
    return group


def lines(xen: Xen, script: str) -> list[str]:
    """What the script prints; disks: the group, said(): what an act returns, or its error in words."""
    return xen.python(SCRIPT + script).splitlines()


def test_a_disks_life(group: Xen) -> None:
    """Nobody reads what was in a disk before; each call may be repeated."""
    script = """
for times in range(2):
    disks.create("remus", "hda", 1)
path = disks.path("remus", "hda")
with open(path, "r+b") as device:
    print(device.read(1 << 20) == bytes(1 << 20))
    for at in range(0, 1 << 30, 1 << 26):
        device.seek(at)
        device.write(b"secret")
disks.resize("remus", "hda", 2)
disks.rename("remus", "hda", "romulus", "hdb")
disks.remove("romulus", "hdb", 7)
[trashed] = disks.trash()
print(trashed.name, trashed.disk, trashed.size, trashed.operation)
disks.restore("romulus", "hdb", 7, "remus", "hda")
with open(path, "rb") as device:
    print(device.read(6), device.seek(0, 2) >> 30)
disks.remove("remus", "hda", 8)
for times in range(2):
    disks.purge("remus", "hda", 8)
    print(len(disks.wipe_ended()), disks.sizes())
disks.create("other", "hda", 7)
with open(disks.path("other", "hda"), "rb") as device:
    found = False
    for at in range(0, 7 << 30, 1 << 26):
        device.seek(at)
        found |= device.read(6) == b"secret"
    print(found)
"""
    assert lines(group, script) == [
        *("True", "romulus hdb 2 7", "b'secret' 2", "1 {}", "0 {}", "False"),
    ]


def test_what_a_guest_has_open_is_not_taken_away(group: Xen) -> None:
    """It grows under its guest; LVM would rename it, and so it does where nobody looks."""
    script = """
disks.create("remus", "hda", 1)
with open(disks.path("remus", "hda"), "rb") as guest:
    for act in (
        lambda: disks.rename("remus", "hda", "romulus", "hda"),
        lambda: disks.remove("remus", "hda", 7),
        lambda: disks.resize("remus", "hda", 2),
    ):
        print(str(said(act)).splitlines()[0])
    print(guest.seek(0, 2) >> 30, sorted(disks.sizes()))
    disks.run(["lvrename", disks.group, "d_remus_hda", "purge.7.1.d_remus_hda"])
    print(disks.wipe_ended(), sorted(disks.sizes()))
print(disks.wipe_ended(), disks.sizes())
"""
    busy = "Busy: the volume d_remus_hda is in use on this host"
    ended = "purge.7.1.d_remus_hda"
    assert lines(group, script) == [
        *(busy, busy, "None", "2 ['d_remus_hda']", f"[] ['{ended}']", f"['{ended}'] {{}}"),
    ]


def test_what_cant_be_had_is_said(group: Xen) -> None:
    """The group is full, or isn't there; a volume whose making was cut off is brought to its end."""
    script = """
disks.create("remus", "hda", 3)
for act in (
    lambda: disks.create("romulus", "hda", 6),
    lambda: disks.resize("remus", "hda", 9),
    lambda: disks.resize("remus", "hda", 1),
    Lvm("nothing").sizes,
):
    print(str(said(act)).splitlines()[0])
disks.run(["lvchange", "-an", disks.group + "/d_remus_hda"])
disks.create("remus", "hda", 3)
print(open(disks.path("remus", "hda"), "rb").read(3), disks.sizes())
"""
    full = f"NoRoom: the volume group {GROUP} is full"
    assert lines(group, script) == [
        *(full, full, "BadInput: disk hda of remus has 3 GiB and can't shrink to 1"),
        "CommandFailed: this host has no volume group nothing",
        r"b'\x00\x00\x00' {'d_remus_hda': 3}",
    ]


def test_a_thin_disk_takes_up_what_is_written(thin: Xen) -> None:
    """What one wrote nobody reads after it; no more is given out than there is; a copy is as small."""
    script = f"""
from invirt.host.storage.thin import Thin
group, disks = disks, Thin("{GROUP}/thin")
def taken():
    return round(float(disks._lvm("lvs", "--noheadings", "-o", "data_percent", "{GROUP}/thin")))
for times in range(2):
    disks.create("remus", "hda", 3)
path = disks.path("remus", "hda")
print(taken(), disks.sizes(), group.sizes())
with open(path, "r+b") as device:
    device.write(b"secret" * (1 << 17))
    device.flush()
    for act in (
        lambda: disks.remove("remus", "hda", 7),
        lambda: disks.resize("remus", "hda", 5),
        lambda: disks.create("other", "hda", 2),
        lambda: disks.resize("remus", "hda", 4),
    ):
        print(str(said(act)).splitlines()[0])
print(taken() < 2)
disks.rename("remus", "hda", "romulus", "hdb")
disks.remove("romulus", "hdb", 7)
disks.restore("romulus", "hdb", 7, "remus", "hda")
print(open(path, "rb").read(6))
disks.remove("remus", "hda", 8)
disks.purge("remus", "hda", 8)
print(len(disks.wipe_ended()), disks.sizes(), taken())
disks.create("other", "hda", 4)
with open(disks.path("other", "hda"), "r+b") as device:
    device.seek(4096)
    device.write(b"mine")
    device.flush()
    device.seek(0)
    print(b"secret" in device.read(1 << 20))
disks.run(["lvchange", "-q", "--zero", "n", "{GROUP}/thin"])
disks.remove("other", "hda", 9)
print(str(said(disks.create, "other", "hda", 1)).splitlines()[0])
"""
    assert lines(thin, script) == [
        *("0 {'d_remus_hda': 3} {'thin': 4}", "Busy: the volume d_remus_hda is in use on this host"),
        f"NoRoom: the thin pool {GROUP}/thin has no 2 GiB left",
        f"NoRoom: the thin pool {GROUP}/thin has no 2 GiB left",
        *("None", "True", "b'secret'", "1 {} 0", "False"),
        f"BadConfig: the thin pool {GROUP}/thin doesn't zero what it gives out",
    ]
