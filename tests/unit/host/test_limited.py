"""What Xen's guests are held to, and when it is said to xl."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest

from invirt.base.errors import BadInput, NotFound
from invirt.base.names import DomainName
from invirt.host import limits
from invirt.host.limits import Keeper
from invirt.host.protocols import Limits
from invirt.host.xen.driver import Xen

REMUS = DomainName("d_remus")
HEAD = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n"


class Said:
    """xl with one domain, of that number; what it was told to change."""

    def __init__(self) -> None:
        self.number = 1
        self.told: list[str] = []

    def __call__(self, argv: list[str], **_: Any) -> CompletedProcess[str]:
        if argv[1] != "list":
            self.told.append(" ".join(argv))
        row = f"d_remus {self.number} 96 1 -b---- 2.5\n" if self.number else ""
        return CompletedProcess(argv, 0, HEAD + row, "")


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


def test_what_is_off_is_held_to_nothing_and_disks_are_refused() -> None:
    """Its CPUs are held nevertheless."""
    xl = Said()
    with pytest.raises(BadInput, match="bounds no disk"):
        Xen(xl).limit(REMUS, Limits(cap=30, disk=10))
    assert xl.told == ["xl sched-credit2 -d d_remus -w 256 -c 30"]
    xl.number = 0
    with pytest.raises(NotFound):
        Xen(xl).limit(REMUS, Limits())


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


def test_what_nobody_can_do_is_not_tried_again_and_again(look: Callable[..., list[str]]) -> None:
    assert look(disk=10) and look(disk=10) == []
    assert look(disk=10, cap=50) == ["xl sched-credit2 -d d_remus -w 256 -c 50"]
