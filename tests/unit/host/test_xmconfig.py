"""Configurations of domains, evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from invirt.base.errors import BadInput, CommandFailed, NotFound
from invirt.host import devices, xmconfig
from invirt.host.commands import xm
from invirt.host.domain import DomainConfig
from invirt.host.qemu import able
from invirt.host.qemu.guest import arguments
from invirt.host.words import Value

ENOUGH = "name = 'd_x'\nmemory = 64\ntype = 'hvm'\n"  # three lines


def evaluated(path: Path, text: str, **variables: Value) -> DomainConfig:
    path.write_text(text)
    return xmconfig.evaluate(path, variables)


def test_words_are_kept_and_the_files_own_names_are_not(tmp_path: Path) -> None:
    config = evaluated(
        tmp_path / "config",
        "import os\n_hidden = 1\nname = 'd_' + machine_name\nmemory = 2 * 64\nvcpus = 1\n"
        "disk = ['vdev=%s, target=/x' % d for d in ('hda', 'hdb')]\nextra = ''\nvif = []\n"
        "def helper(): pass\n",
        machine_name="remus",
    )
    assert config.settings == {
        "name": "d_remus",
        "memory": 128,
        "vcpus": 1,
        "disk": ["vdev=hda, target=/x", "vdev=hdb, target=/x"],
    }
    assert config.devices("disk")[1] == {"vdev": "hdb", "target": "/x"}
    assert DomainConfig.from_json(config.json()) == config


def test_a_word_that_xl_would_drop_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cpu_cap is not a word"):
        evaluated(tmp_path / "config", "name = 'd_x'\ncpu_cap = 50\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [("name = 'd_x'\nmemory = nothing\n", 2), ("\n\nname = (\n", 3), ("def f():\n    1 / 0\nf()\n", 2)],
)
def test_faults_are_told_with_their_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(BadInput, match=f"config:{line}: "):
        evaluated(tmp_path / "config", text)


def test_a_domain_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="sets no name"):
        evaluated(tmp_path / "config", "memory = 1\n")


def test_a_domain_needs_memory(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="sets no memory"):
        evaluated(tmp_path / "config", "name = 'd_x'\n")


@pytest.mark.parametrize("memory", ["128 / 2", "'64'", "64.0", "32 + 32"])
def test_whole_numbers_are_numbers(tmp_path: Path, memory: str) -> None:
    assert evaluated(tmp_path / "config", f"name = 'd_x'\nmemory = {memory}\n").settings["memory"] == 64


def test_the_command_line_counts_more_than_the_file(tmp_path: Path) -> None:
    words = ["memory=96", "disk=file:/a,hda,w", "disk=file:/b,hdb,w", "machine_name=x"]
    text = "name = 'd_' + machine_name\nmemory = 64\nassert memory\n"
    config = evaluated(tmp_path / "config", text, **xm._variables(words))
    assert config.memory == 96
    assert [disk["vdev"] for disk in config.devices("disk")] == ["hda", "hdb"]


@pytest.mark.parametrize("words", [["memory=much"], ["memory=1", "memory=2"], ["memory"]])
def test_nonsense_on_the_command_line_is_refused(words: list[str]) -> None:
    with pytest.raises(BadInput):
        xm._variables(words)


def test_a_variable_that_the_file_makes_no_use_of_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="makes no use of memry="):
        evaluated(tmp_path / "config", ENOUGH, memry="96")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("memory = 0", "memory: must be from 1"),
        ("memory = 64.5", "memory: must be a whole number"),
        ("memory = [64]", "memory: must be a whole number"),
        ("memory = float('nan')", "memory: must be a whole number"),
        ("vcpus = 'two'", "vcpus: must be a whole number"),
        ("name = 'a/../../evil'", "name: must be of A-Z"),
        ("name = '..'", "name: must be of A-Z"),
        ("name = 'two words'", "name: must be of A-Z"),
        ("name = 'käse'", "name: must be of A-Z"),
        ("name = '17'", "name: must be of A-Z"),
        ("name = 17", "name: must be a text"),
        ("kernel = ['a']", "kernel: must be a text"),
        ("extra = 'a\\0b'", "extra: holds letters"),
        ("cpu_cap = 50.0", "cpu_cap is not a word"),
        ("type = 'vm'", "type: must be pv, pvh or hvm"),
        ("on_reboot = 'never'", "on_reboot: must be destroy, "),
        ("disk = ['phy:/dev/vg/x,hda,w,x']", 'disk: "x" is one more than'),
        ("disk = ['phy:/dev/vg/x']", 'disk: "phy:/dev/vg/x" has no vdev'),
        ("disk = ['vdev=hda']", 'disk: "vdev=hda" has no target'),
        ("disk = ['vdev=hda, vedv=hdb, target=/x']", "disk: vedv= is not known"),
        ("disk = [17]", "disk: must be a text"),
        ("disk = ['/x,raw,hda,w', '/y,raw,hda,w']", "disk names one vdev twice"),
        ("vif = ['00:16:3e:00:00:01']", "vif: .* is not of the form key=value"),
        ("vif = ['mac=a, mac=b']", "vif: mac= is given twice"),
        ("root, cmdline = '/dev/vda', 'quiet'", "cmdline stands beside root"),
    ],
)
def test_what_a_word_cant_be_is_told_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(BadInput, match=f"config:4: {said}"):
        evaluated(tmp_path / "config", f"{ENOUGH}{line}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("phy:/dev/vg/x,xvda,w", {"target": "/dev/vg/x", "format": "raw", "vdev": "xvda", "access": "w"}),
        (
            "file:/a.iso,hdc:cdrom,r",
            {"target": "/a.iso", "format": "raw", "vdev": "hdc", "devtype": "cdrom", "access": "r"},
        ),
        ("tap:qcow2:/a,hda,w", {"target": "/a", "format": "qcow2", "vdev": "hda", "access": "w"}),
        ("/dev/vg/x,raw,hda,rw", {"target": "/dev/vg/x", "format": "raw", "vdev": "hda", "access": "rw"}),
        ("vdev=hda, access=ro, target=/a,b=c", {"vdev": "hda", "access": "ro", "target": "/a,b=c"}),
        ("/x=y,raw,hda", {"target": "/x=y", "format": "raw", "vdev": "hda"}),
    ],
)
def test_disks_in_every_form(text: str, said: dict[str, str]) -> None:
    assert devices.disk(text) == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("disk = ['format=qcow2, vdev=hda, target=/x']", "disk hda: format=qcow2"),
        ("disk = ('tap:qcow2:/x,hda,w',)", "disk hda: format=qcow2"),
        ("disk = 'file:/x,sda1,w'", "disk sda1: a whole disk"),
        ("disk = ['file:/x,hda,w!']", "disk hda: access=w!"),
        ("disk = ['file:/x,hdc:cdrom,w']", "disk hdc: a cdrom can't be written to"),
        ("disk = ['file:x,hda,w']", "disk hda: target"),
        ("disk = ['script=x, vdev=hda, target=/x']", "disk hda: script="),
        ("vif = ['mac=00:16:3e:00:00:01, bridge=xenbr0']", "vif bridge=xenbr0: guests have links"),
        ("vif = ['ip=10.0.0.1, vifname=inv1']", "vif a network card has no mac="),
        ("vif = ['mac=01:16:3e:00:00:01, ip=10.0.0.1, vifname=inv1']", "vif mac="),
        ("vif = ['mac=00:16:3e:00:00:01, ip=10.0.0.1/8, vifname=inv1']", "vif ip="),
        ("vif = ['mac=00:16:3e:00:00:01, ip=10.0.0.1, vifname=in,v']", "vif: .* is not of the form"),
        ("vif = ['mac=00:16:3e:00:00:01, ip=10.0.0.1, vifname=inv1, model=e1000']", "vif model="),
        ("cap = 50", "cap can't be 50"),
        ("sdl = 1", "sdl can't be 1"),
        ("boot = 'n'", "boot can't be 'n'"),
        ("maxmem = 128", "maxmem can't be 128"),
        ("on_crash = 'restart'", "on_crash can't be 'restart'"),
        ("bootloader = '/usr/bin/pygrub'", "bootloader can't be"),
    ],
)
def test_what_qemu_cant_do_is_refused_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(BadInput, match=f"config:4: {said}"):
        able.check(evaluated(tmp_path / "config", f"{ENOUGH}{line}\n"))


def test_only_a_pc_has_a_screen(tmp_path: Path) -> None:
    able.check(evaluated(tmp_path / "pc", f"{ENOUGH}vnc = 1\n"))
    other = ENOUGH.replace("hvm", "pvh") + "kernel = '/boot/vmlinuz'\nvnc = "
    able.check(evaluated(tmp_path / "other", f"{other}0\n"))
    with pytest.raises(BadInput, match="config:5: vnc can't be 1 for a guest that is no PC"):
        able.check(evaluated(tmp_path / "config", f"{other}1\n"))


def test_what_qemu_does_anyway_may_be_said(tmp_path: Path) -> None:
    more = "acpi = True\nvnc = 0\nboot = 'cd'\non_crash = 'destroy'\nmaxmem = 64\nserial = 'pty'\n"
    able.check(evaluated(tmp_path / "config", ENOUGH.replace("type", "builder") + more))


def test_no_qemu_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(able, "QEMU", "/nowhere/qemu")
    with pytest.raises(CommandFailed, match="/nowhere/qemu is not installed"):
        able.find()


def test_what_qemu_is_told_of_disks_and_the_kernel(tmp_path: Path) -> None:
    text = """
name, memory, kernel, root, extra = "d_x", 64, "/k", "/dev/vda ro", "quiet"
disk = ("phy:/dev/vg/x,xvda,w", "vdev=hdb, access=ro, target=/y", "file:/a.iso,hdc:cdrom,r")
"""
    files = {"qmp": 3, "console": 4, "log": 5, "xvda": 6, "hdb": 7, "hdc": 8, "events": 9}
    argv = arguments(evaluated(tmp_path / "config", text), "tcg", files)
    assert argv[argv.index("-append") + 1] == "root=/dev/vda ro quiet"
    drives = [word for word in argv if word.startswith("driver=raw")]
    assert ["read-only=on" in drive for drive in drives] == [False, True, True]
    assert [word for word in argv if ",drive=" in word] == [
        "virtio-blk-pci,drive=xvda",
        "virtio-blk-pci,drive=hdb",
        "ide-cd,id=drive-hdc,drive=hdc",
    ]
    assert "-rtc" not in argv
    local = arguments(evaluated(tmp_path / "config", f"{text}localtime = 1\n"), "tcg", files)
    assert local[local.index("-rtc") + 1] == "base=localtime"


def test_found_in_the_folder_or_by_path(state: Path) -> None:
    assert xmconfig.find("invirt-database") == state / "xen/invirt-database"
    assert xmconfig.find(str(state / "xen/invirt-database")) == state / "xen/invirt-database"
    with pytest.raises(NotFound):
        xmconfig.find("other")
