"""What Xen's guests are held to, and when it is said to xl."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from invirt.base.errors import BadInput, NotFound
from invirt.base.names import DomainName
from invirt.host import limits, paths
from invirt.host.domain import DomainConfig
from invirt.host.limits import Keeper
from invirt.host.protocols import Limits
from invirt.host.records import Record
from invirt.host.xen import throttling
from invirt.host.xen.driver import Xen

REMUS = DomainName("d_remus")
HEAD = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n"


class Said:
    """xl with one domain, of that number; what it was told to change, and what systemd was."""

    def __init__(self) -> None:
        self.number = 1
        self.told: list[str] = []
        self.bounds: list[str] = []

    def __call__(self, argv: list[str], **_: Any) -> CompletedProcess[str]:
        if argv[0] == "systemctl":
            self.bounds += argv[4:]
            return CompletedProcess(argv, 0, "", "")
        if argv[1] != "list":
            self.told.append(" ".join(argv))
        row = f"d_remus {self.number} 96 1 -b---- 2.5\n" if self.number else ""
        return CompletedProcess(argv, 0, HEAD + row, "")


@pytest.fixture(autouse=True)
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its unit's, where something is bounded; and what is written down of the domain."""
    monkeypatch.setenv("INVIRT_STATE", str(tmp_path))
    monkeypatch.setattr(throttling, "GROUPS", tmp_path)
    disks = ["vdev=hda, target=/dev/invirt/d_remus_hda", "/iso/debian.iso,raw,hdc,ro,cdrom"]
    paths.write(Record(REMUS).config_file, DomainConfig({"name": REMUS, "disk": disks}).json())
    group = tmp_path / "invirt-domain@d_remus.service"
    group.mkdir()
    (group / "io.max").write_text("8:16 rbps=1 wbps=1 riops=max wiops=max\n")
    return group


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Limits(cap=30), "-w 256 -c 30"),
        (Limits(weight=200), "-w 512 -c 0"),
        (Limits(cap=150, weight=1), "-w 3 -c 150"),
        (Limits(weight=1_000_000), "-w 65535 -c 0"),
        (Limits(download=10), "-w 256 -c 0"),
    ],
)
def test_cpus_are_the_scheduler_s(wanted: Limits, words: str) -> None:
    xl = Said()
    Xen(xl).limit(REMUS, wanted)
    assert xl.told == [f"xl sched-credit2 -d d_remus {words}"]


@pytest.mark.parametrize(
    ("wanted", "bandwidth", "operations"),
    [
        (Limits(), "", ""),
        (Limits(disk=10), "/dev/invirt/d_remus_hda 10485760", ""),
        (Limits(operations=200), "", "/dev/invirt/d_remus_hda 200"),
    ],
)
def test_disks_are_the_unit_s(wanted: Limits, bandwidth: str, operations: str) -> None:
    """What was bounded before is free first; a CD is."""
    xl, words = Said(), []
    for what, bound in (("Bandwidth", bandwidth), ("IOPS", operations)):
        for way in ("Read", "Write"):
            words += [f"IO{way}{what}Max={value}" for value in dict.fromkeys(["", bound])]
    Xen(xl).limit(REMUS, wanted)
    assert xl.bounds == words


def test_what_is_off_is_held_to_nothing() -> None:
    xl = Said()
    xl.number = 0
    with pytest.raises(NotFound):
        Xen(xl).limit(REMUS, Limits(disk=10))
    assert xl.told == xl.bounds == []


@pytest.mark.parametrize(
    ("its_own", "why"),
    [(True, "lie on no block device"), (False, "does not run")],
    ids=["elsewhere", "no unit"],
)
def test_what_cant_be_bounded_is_said(group: Path, its_own: bool, why: str) -> None:
    """Its CPUs are held nevertheless; and of one that wants no bound nothing is said to anybody."""
    (group / "io.max").write_text("")
    if not its_own:
        shutil.rmtree(group)
    xl = Said()
    with pytest.raises(BadInput, match=why):
        Xen(xl).limit(REMUS, Limits(cap=30, disk=10))
    assert xl.told == ["xl sched-credit2 -d d_remus -w 256 -c 30"]
    xl.bounds.clear()
    Xen(xl).limit(REMUS, Limits())
    assert xl.bounds == []


def test_one_that_was_booted_by_hand_has_no_disks_to_hold() -> None:
    xl = Said()
    Record(REMUS).config_file.unlink()
    Xen(xl).limit(REMUS, Limits(disk=10))
    assert xl.told and not any(word.partition("=")[2] for word in xl.bounds)


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """A look of the service's, at what is wanted; what xl is told by it."""
    xl, keeper = Said(), Keeper()
    monkeypatch.setattr(limits.loading, "hypervisor", lambda: Xen(xl))
    monkeypatch.setattr(limits.vif, "links", dict)
    monkeypatch.setattr(limits.shaping, "forget", lambda links: None)

    def told(number: int = 1, **wanted: int) -> list[str]:
        monkeypatch.setattr(limits, "_wanted", lambda *_: {"remus": Limits(**wanted)})
        xl.number, before = number, len(xl.told)
        keeper.update(None)  # type: ignore[arg-type]
        return xl.told[before:]

    return told


def test_a_change_and_a_boot_are_followed(look: Callable[..., list[str]]) -> None:
    """At once, and once."""
    said = "xl sched-credit2 -d d_remus -w 256 -c"
    assert look() == [f"{said} 0"] and look() == []
    assert look(cap=20) == [f"{said} 20"] and look(cap=20) == []
    assert look(number=2, cap=20) == [f"{said} 20"]
    assert look(number=2) == [f"{said} 0"]


def test_what_nobody_can_do_is_not_tried_again_and_again(look: Callable[..., list[str]], group: Path) -> None:
    (group / "io.max").unlink()
    assert look(disk=10) and look(disk=10) == []
    assert look(disk=10, cap=50) == ["xl sched-credit2 -d d_remus -w 256 -c 50"]


def test_a_disk_that_is_connected_anew_is_held_anew(
    look: Callable[..., list[str]], group: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its new thread is in no group yet."""
    running = {1: ["70"], 2: ["80"]}
    monkeypatch.setattr(throttling, "threads", lambda: running)
    assert look(disk=10) and look(disk=10) == []
    assert (group / "cgroup.procs").read_text() == "70"
    running[1] = ["71"]
    assert look(disk=10) and look(disk=10) == []
    assert (group / "cgroup.procs").read_text() == "71"


def test_threads_are_known_by_their_names() -> None:
    """Once one has its name; one that was looked at before is seen when a domain is held anew."""
    comm, mine = Path("/proc/self/comm"), str(os.getpid())
    name, xl = comm.read_text(), Said()
    throttling.threads()
    comm.write_text("1.hda-0")
    try:
        assert mine not in throttling.threads().get(1, ())
        Xen(xl).limit(REMUS, Limits(disk=10))
        assert mine in throttling.threads()[1]
    finally:
        comm.write_text(name)


def test_a_thread_that_cant_be_moved_yet_is_tried_again(
    look: Callable[..., list[str]], group: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else's limits wait for it."""
    monkeypatch.setattr(throttling, "threads", lambda: {1: ["70"]})
    (group / "cgroup.procs").mkdir()
    assert look(disk=10) and look(disk=10)
    (group / "cgroup.procs").rmdir()
    assert look(disk=10) and look(disk=10) == []
