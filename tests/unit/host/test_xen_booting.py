"""What Xen is told of installers, of what a machine's disk holds and of CDs, without one."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from invirt.base.errors import BadInput, CommandFailed
from invirt.base.names import DomainName
from invirt.host import loading, paths
from invirt.host.domain import DomainConfig
from invirt.host.records import Record
from invirt.host.xen import config as rendering
from invirt.host.xen.driver import Xen, written
from tests.unit.kernel.kernels import members

REMUS = DomainName("d_remus")
SECRET = "password $6$secret"


class Said:
    """Answers as xl does for remus; boot: what systemctl does to boot it.  commands: all that was said."""

    def __init__(self, boot: Any = None, runs: bool = False) -> None:
        self.boot, self.runs = boot, runs
        self.commands: list[str] = []

    def __call__(self, argv: list[str], **_: Any) -> CompletedProcess[str]:
        self.commands.append(" ".join(argv))
        if argv[:2] == ["systemctl", "restart"] and self.boot:
            self.boot()
        row = "d_remus 1 96 1 -b---- 2.5\n" if self.runs else ""
        understood = {
            "c_info": {"type": "pvh", "name": "d_remus"},
            "b_info": {"max_vcpus": 1, "max_memkb": 96 << 10, "target_memkb": 96 << 10},
        }
        said = {"list": f"Name ID Mem VCPUs State Time(s)\n{row}", "create": json.dumps(understood)}
        return CompletedProcess(argv, 0, said.get(argv[1], ""), "")


def installer(tmp_path: Path) -> DomainConfig:
    (tmp_path / "initrd").write_bytes(b"as packaged.")
    words = {"type": "pvh", "memory": 96, "kernel": "/k", "ramdisk": str(tmp_path / "initrd")}
    return DomainConfig({"name": "d_remus", "machine": 17, "install": ["hostname remus", SECRET], **words})


def ramdisk(name: DomainName = REMUS) -> Path:
    """As xl's file names it."""
    [line] = [line for line in written(name).read_text().splitlines() if line.startswith("ramdisk")]
    return Path(line.split('"')[1])


@pytest.mark.parametrize("fails", [False, True])
def test_an_installer_alone_is_told_and_once(state: Path, tmp_path: Path, fails: bool) -> None:
    """Its ramdisk has it, root's, until Xen has read that; no file that stays has it."""
    read: list[bytes] = []

    def boot() -> None:
        assert ramdisk().is_relative_to(paths.run()) and ramdisk().stat().st_mode & 0o777 == 0o600
        read.append(ramdisk().read_bytes())
        if fails:
            raise CommandFailed("no")

    config = installer(tmp_path)
    if fails:
        with pytest.raises(CommandFailed, match="did not start"):
            Xen(Said(boot)).create(config)
    else:
        Xen(Said(boot)).create(config)
    [data] = read
    assert data.startswith(b"as packaged.")
    [(name, mode, _, lines), *_] = members(data.removeprefix(b"as packaged."))
    assert (name, mode & 0o777, lines.decode()) == ("parameters", 0o400, f"hostname remus\n{SECRET}\n")
    kept = [file for file in state.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
    assert kept == [] and not ramdisk().exists()
    assert Record(REMUS).config() == config.without("install")


def test_an_installer_without_its_ramdisk(state: Path) -> None:
    """Nothing is begun."""
    xl = Said()
    config = DomainConfig(
        {"name": "d_remus", "memory": 96, "install": [SECRET], "ramdisk": "/nowhere/initrd"}
    )
    with pytest.raises(BadInput, match="ramdisk can't be read") as caught:
        Xen(xl).create(config)
    assert "invirt-kernel make" in caught.value.hint and xl.commands == ["xl list"]


@pytest.mark.parametrize(
    ("driver", "declared", "of_its_host", "of_its_own"),
    [
        ("qemu", "pvh", "pvh", "hvm"),
        ("qemu", "hvm", "hvm", "hvm"),
        ("xen", "pv", "pv", "pv"),
        ("xen", "pvh", "pvh", "pvh"),
        ("xen", "hvm", "pvh", "hvm"),
    ],
)
def test_how_a_machine_runs(
    driver: str, declared: str, of_its_host: str, of_its_own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a kernel of its host's, and by what is on its own disk."""
    monkeypatch.setattr(loading, "driver", lambda: driver)
    assert loading.virt(declared, own=False) == of_its_host
    assert loading.virt(declared, own=True) == of_its_own


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("console=ttyS0 quiet", "console=hvc0 quiet"),
        ("quiet console=ttyS0,115200n8", "quiet console=hvc0"),
        ("console=ttyS1 xconsole=ttyS0", "console=ttyS1 xconsole=ttyS0"),
    ],
)
def test_a_guest_without_a_serial_port_has_xens_console(said: str, told: str) -> None:
    config = DomainConfig({"name": "d_remus", "type": "pv", "memory": 96, "kernel": "/k", "extra": said})
    assert rendering.words(config)["extra"] == told
    pc = DomainConfig({**config.settings, "type": "hvm"})
    assert rendering.words(pc)["extra"] == said


def pc(*disks: str) -> DomainConfig:
    """One whose disks and CDs have these names."""
    kinds = [f"vdev={name}{', devtype=cdrom' if name[0] == 's' else ''}, target=/x" for name in disks]
    return DomainConfig({"name": "d_remus", "type": "hvm", "memory": 96, "disk": kinds})


def test_where_cds_are() -> None:
    assert rendering.cds(pc("hda", "sda", "sdb")) == {"sda": "hdc", "sdb": "hdd"}
    assert rendering.cds(pc("hda", "hdb", "hdc", "sda")) == {"sda": "hdd"}
    with pytest.raises(BadInput, match="no place for a CD"):
        rendering.cds(pc("hda", "hdb", "hdc", "hdd", "sda"))


def test_a_cd_that_is_out_stays_out() -> None:
    """The types' own stays in, however often it is said."""
    config = pc("hda", "sda", "sdb")
    paths.write(Record(REMUS).config_file, config.json())
    xl = Said(runs=True)
    for _ in range(2):
        Xen(xl).eject(REMUS)
    assert [command for command in xl.commands if command != "xl list"] == ["xl cd-eject d_remus hdc"]
    assert Record(REMUS).config() == pc("hda", "sdb")
    assert "vdev=sda" not in written(REMUS).read_text() and "vdev=hdd" not in written(REMUS).read_text()


@pytest.fixture(autouse=True)
def host(state: Path) -> None:
    """A host of its own for each."""
