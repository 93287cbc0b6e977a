"""What hypervisors, storage and nftables are told, against files.

After a change that is meant: INVIRT_UPDATE_GOLDEN=1 python3 -m pytest
tests/golden/host, then read the diff.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from invirt.base.errors import (
    BadConfig,
    BadInput,
    Busy,
    CommandFailed,
    InvirtError,
    NoRoom,
    NotFound,
    Unreachable,
)
from invirt.host import paths
from invirt.host.domain import DomainConfig
from invirt.host.network import vif
from invirt.host.network.addresses import link_local
from invirt.host.network.rules import rules
from invirt.host.qemu import guest
from invirt.host.records import Record
from invirt.host.storage.lvm import Lvm
from invirt.host.storage.thin import Thin
from invirt.host.xen.config import rendered
from invirt.host.xen.driver import Xen
from tests.golden.compare import compare

EXPECTED = Path(__file__).parent / "expected"
PVH = DomainConfig(
    {
        "name": "d_remus",
        "machine": 17,
        "type": "pvh",
        "memory": 128,
        "vcpus": 2,
        "disk": [
            "format=raw, vdev=hda, access=rw, target=/srv/invirt/volumes/d_remus_hda",
            "format=raw, vdev=hdb, access=rw, target=/dev/invirt/d_remus_hdb",
        ],
        "vif": ["mac=52:54:00:00:00:11, ip=192.0.2.17, vifname=inv17, script=vif-invirtroute"],
        "kernel": "/srv/invirt/guest/vmlinuz",
        "ramdisk": "/srv/invirt/guest/initrd",
        "extra": "console=ttyS0 quiet hostname=remus",
        "on_poweroff": "destroy",
        "on_reboot": "restart",
        "on_crash": "destroy",
    }
)
HVM = DomainConfig(
    {"name": "d_inode", "type": "hvm", "memory": 512, "on_reboot": "destroy", "disk": PVH.settings["disk"]}
)
DESCRIPTORS = {"qmp": 3, "console": 4, "log": 5, "hda": 6, "hdb": 7, "inv17": 8, "events": 9, "screen": 10}


class Recorder:
    """Runs nothing: keeps the commands, and answers as it is told to, by a command's first words."""

    def __init__(self, **answers: str) -> None:
        self.commands: list[str] = []
        self.answers = {name.replace("_", " "): iter([text] * 19) for name, text in answers.items()}

    def answer(self, command: str, texts: Iterator[str]) -> None:
        """From now on say these, one after the other."""
        self.answers[command] = texts

    def __call__(self, argv: list[str], **_: Any) -> CompletedProcess[str]:
        self.commands.append(shlex.join(argv))
        words = (" ".join(argv), " ".join(argv[:2]), argv[0])
        said = next(next((self.answers[word] for word in words if word in self.answers), iter([""])))
        return CompletedProcess(argv, 0, said, "")

    @property
    def text(self) -> str:
        """All commands, a line each."""
        return "".join(f"{command}\n" for command in self.commands)


@pytest.mark.parametrize("accelerator", ["tcg", "kvm"])
@pytest.mark.parametrize("config", [PVH, HVM], ids=["pvh", "hvm"])
def test_qemu(config: DomainConfig, accelerator: str) -> None:
    words = guest.arguments(config, accelerator, DESCRIPTORS)
    compare("\n".join(words) + "\n", EXPECTED / f"qemu-{config.text('type')}-{accelerator}")


def test_qemu_without_kernel_boots_only_hvm() -> None:
    with pytest.raises(BadInput, match="has no kernel"):
        guest.arguments(DomainConfig({"name": "d_x", "type": "pvh", "memory": 64}), "tcg", DESCRIPTORS)


MAC = "52:54:00:00:00:11"


def test_nftables() -> None:
    compare(rules("inv17", MAC, ["192.0.2.17"], name="d_remus"), EXPECTED / "inv17.nft")


def test_nftables_of_more() -> None:
    """Further addresses, IPv6, servers; held by a process."""
    own = ["192.0.2.17", "198.51.100.7", "2001:db8::17"]
    servers = ["192.0.2.5", "192.0.2.0/28", "2001:db8::/124", "127.0.0.1"]
    compare(
        rules("inv17", MAC, own, name="d_remus", servers=servers, near=["192.0.2.0/24"], owned=True),
        EXPECTED / "inv17-more.nft",
    )


def test_link_local() -> None:
    assert str(link_local(MAC)) == "fe80::5054:ff:fe00:11"


@pytest.mark.parametrize(
    ("interface", "mac", "ip"),
    [
        ("inv17", MAC, "192.0.2.17/8"),
        ("inv17", MAC, "192.0.2.17 }"),
        ("inv17", MAC, "0.0.0.0"),
        ("inv17", MAC, "127.0.0.1"),
        ("inv17", MAC, "224.0.0.1"),
        ("inv17", MAC, "fe80::1"),
        ("inv17", MAC, "::"),
        ("inv17", "52:54:00:00:00", "192.0.2.17"),
        ('inv17"', MAC, "192.0.2.17"),
        ("invirt1234567890", MAC, "192.0.2.17"),
    ],
)
def test_nftables_of_nonsense(interface: str, mac: str, ip: str) -> None:
    with pytest.raises(BadInput):
        rules(interface, mac, [ip])


@pytest.mark.parametrize("server", ["10.0.0.1/8", "nobody", "10.0.0.0/33", "2001:db8::1%a"])
def test_nftables_of_odd_servers(server: str) -> None:
    with pytest.raises(BadInput):
        rules("inv17", MAC, ["192.0.2.17"], servers=[server])


@pytest.mark.parametrize("name", ['d_"', "d_a b", "d_\n"])
def test_nftables_of_odd_names(name: str) -> None:
    with pytest.raises(BadInput):
        rules("inv17", MAC, ["192.0.2.17"], name=name)


def test_interfaces_of_the_largest_nics_fit() -> None:
    assert len(vif.interface(2**31 - 1)) <= 15


OWN = {word: PVH.settings[word] for word in ("name", "machine", "memory", "vcpus", "disk", "vif")}
WINDOWS = {
    **OWN,
    "type": "hvm",
    "disk": [*PVH.settings["disk"], "format=raw, vdev=sda, access=ro, devtype=cdrom, target=/srv/any.iso"],
    "boot": "dc",
    "cap": 50,
    "cpu_weight": 512,
    "on_crash": "destroy",
}
XL = {
    "pvh": PVH,
    "hvm": HVM,
    "pvh-grub": DomainConfig({**OWN, "type": "pvh"}),
    "pv-grub": DomainConfig({**OWN, "type": "pv"}),
    "pv-2008": DomainConfig({**OWN, "builder": "linux", "kernel": "/boot/vmlinuz", "root": "/dev/xvda ro"}),
    "hvm-screen": DomainConfig(WINDOWS),
}


@pytest.mark.parametrize("kind", XL)
def test_xl_config(kind: str) -> None:
    compare(rendered(XL[kind]).replace(str(paths.run()), "/run/invirt"), EXPECTED / f"xl-{kind}.cfg")


@pytest.mark.parametrize("value", ['a"b', "a\nb", "a\\b"])
def test_xl_config_of_what_cant_be_quoted(value: str) -> None:
    with pytest.raises(BadInput, match="extra"):
        rendered(DomainConfig({"name": "d_x", "extra": value}))


XL_LIST = """\
Name                                        ID   Mem VCPUs\tState\tTime(s)
Domain-0                                     0   640     1     r-----      19.6
d_remus                                      1   128     2     -b----       2.1
"""


def test_xl_commands(tmp_path: Path) -> None:
    gone = XL_LIST.replace("d_remus", "Else")
    anew = XL_LIST.replace(" 1   128", " 2   128")
    xl = Recorder(xl_list=XL_LIST, xl_create=UNDERSTOOD)
    xen = Xen(xl)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVIRT_STATE", str(tmp_path))
        xen.create(PVH)  # runs already
        xen.create(HVM)
        assert (tmp_path / "domains/d_inode").read_text() == rendered(HVM)
        assert Record("d_inode").config() == HVM
        xen.shutdown("d_remus")
        xl.answer("xl list", iter([XL_LIST, anew]))
        xen.reboot("d_remus")
        xl.answer("xl list", iter([XL_LIST, XL_LIST, gone, gone]))
        xen.destroy("d_remus")
        xl.answer("xl list", repeat(XL_LIST))
        xen.destroy("d_inode")
    assert [(one.name, one.memory, one.vcpus) for one in xen.domains()] == [
        ("Domain-0", 640, 1),
        ("d_remus", 128, 2),
    ]
    xen.plug(PVH, "inv17")
    assert xen.unplug("d_remus", "inv17", MAC)
    with pytest.raises(NotFound):
        xen.reboot("d_inode")
    compare(xl.text.replace(str(tmp_path), "/var/lib/invirt"), EXPECTED / "xl-commands")


UNDERSTOOD = """{"c_info": {"type": "hvm", "name": "d_inode"},
"b_info": {"max_vcpus": 1, "max_memkb": 524288, "target_memkb": 524288}, "disks": [{}, {}]}"""
LVS = f"""\
  d_remus_hda {2 << 30}
  trash.17.1500000000.d_old_hdb {3 << 30}
  purge.16.1500000000.d_older_hda {1 << 30}
  root {5 << 30}
"""


OPEN = "lvs --noheadings --units b --nosuffix --options lv_device_open invirt/"


def group(**opened: str) -> Recorder:
    """A volume group, and which of its volumes are open."""
    runner = Recorder(lvs=LVS)
    for key in ("d_remus_hda", "trash.17.1500000000.d_old_hdb", "purge.16.1500000000.d_older_hda"):
        runner.answer(f"{OPEN}{key}", repeat(f"  {opened.get(key, '')}\n"))
    return runner


def test_lvm_commands() -> None:
    runner = group()
    disks = Lvm("invirt", runner)
    assert disks.path("remus", "hda") == "/dev/invirt/d_remus_hda"
    disks.create("remus", "hda", 2)  # there already
    disks.create("remus", "hdb", 1)
    disks.resize("remus", "hda", 4)
    disks.rename("remus", "hda", "romulus", "hda")
    disks.restore("old", "hdb", 17)
    disks.restore("old", "hdb", 17, "new", "hda")
    disks.purge("old", "hdb", 17)
    assert disks.wipe_ended() == ["purge.16.1500000000.d_older_hda"]
    compare(runner.text, EXPECTED / "lvm-commands")


def test_lvm_commands_in_a_group_of_several_hosts() -> None:
    """Nobody has a volume for longer than it takes."""
    runner = group()
    runner.answer("vgs", repeat("  dlm\n"))
    disks = Lvm("invirt", runner)
    disks.create("remus", "hda", 2)  # there already
    disks.create("remus", "hdb", 1)
    with disks.held("remus", "hda") as path:
        assert path == "/dev/invirt/d_remus_hda"
    disks.wipe_ended()
    compare(runner.text, EXPECTED / "lvm-shared-commands")


THIN = "lvs --noheadings --units b --nosuffix --options lv_size,zero invirt/thin"


def test_thin_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVIRT_RUN", str(tmp_path))
    runner = group()
    runner.answer(THIN, repeat(f"  {16 << 30} zero\n"))
    disks = Thin("invirt/thin", runner)
    disks.create("remus", "hdb", 1)
    disks.resize("remus", "hda", 4)
    assert disks.wipe_ended() == ["purge.16.1500000000.d_older_hda"]
    compare(runner.text, EXPECTED / "lvm-thin-commands")


def test_a_thin_pool_gives_out_no_more_than_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 11 GiB there are as many; what isn't zeroed isn't given out at all."""
    monkeypatch.setenv("INVIRT_RUN", str(tmp_path))
    runner = group()
    runner.answer(THIN, iter([f"  {11 << 30} zero\n", f"  {12 << 30}\n"]))
    disks = Thin("invirt/thin", runner)
    with pytest.raises(NoRoom, match="the thin pool invirt/thin has no 1 GiB left"):
        disks.create("remus", "hdb", 1)
    with pytest.raises(BadConfig, match="doesn't zero what it gives out"):
        disks.create("remus", "hdb", 1)


def test_lvm_removes_into_the_trash() -> None:
    runner = group()
    Lvm("invirt", runner).remove("remus", "hda", 18)
    old, new = runner.commands[-1].split()[-2:]
    assert old == "d_remus_hda"
    assert new.startswith("trash.18.")
    assert new.endswith(".d_remus_hda")


def test_lvm_lets_alone_what_is_open() -> None:
    """LVM itself would rename it under its guest."""
    opened = dict.fromkeys(("d_remus_hda", "purge.16.1500000000.d_older_hda"), "open")
    runner = group(**opened)
    disks = Lvm("invirt", runner)
    for act in (
        lambda: disks.rename("remus", "hda", "romulus", "hda"),
        lambda: disks.remove("remus", "hda", 18),
    ):
        with pytest.raises(Busy, match="d_remus_hda is in use on this host"):
            act()
    assert disks.wipe_ended() == []
    assert {command.split()[0] for command in runner.commands} == {"lvs"}


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        ('  Volume group "invirt" not found\n  Cannot process', CommandFailed, "has no volume group invirt"),
        ('  Volume group "invirt" has insufficient free space (12 extents)', NoRoom, "group invirt is full"),
        ("  Insufficient free space: 256 extents needed, but only 12 available", NoRoom, "invirt is full"),
        ("  LV locked by other host: invirt/d_remus_hda", Busy, "another host has a lock on it"),
        ("  LV is already locked with incompatible mode: invirt/d_remus_hda", Busy, "or moves"),
        ("  Skipping global lock: lockspace is starting", Unreachable, "its lock manager isn't there"),
        ('  Failed to find logical volume "invirt/d_remus_hda"', NotFound, "no such volume"),
        ("  something else", CommandFailed, "status 5"),
    ],
)
def test_what_lvm_refuses(said: str, kind: type[InvirtError], told: str) -> None:
    def refuse(argv: list[str], **_: Any) -> CompletedProcess[str]:
        raise CommandFailed("status 5 from: lvs", hint=said)

    with pytest.raises(kind, match=told):
        Lvm("invirt", refuse).sizes()
