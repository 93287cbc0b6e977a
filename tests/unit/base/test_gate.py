"""invirt-remctld-gate: whose connections it ends, told from what /proc says of them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from invirt.base import gate

UNIT = "/invirt.slice/invirt-remote.slice/invirt-remctld@7-10.86.0.4:4373-10.86.0.20:40112.service"
V1 = f"12:pids:/\n1:name=systemd:{UNIT}\n0::{UNIT}\n"


def process(
    folder: Path,
    *,
    command: str = "remctld",
    age: float = 11,
    faults: int = 0,
    cgroup: str = V1,
    children: str = "",
) -> Path:
    """A process as /proc(5) shows it, age in seconds; faults: page faults of children that it waited for."""
    made = folder / "4711"
    (made / "task/4711").mkdir(parents=True)
    begun = int((time.clock_gettime(time.CLOCK_BOOTTIME) - age) * gate.TICKS)
    numbers = ["S", "1", *["0"] * 17, str(begun), "0"]
    numbers[gate.CHILDREN_FAULTS] = str(faults)
    (made / "stat").write_text(f"4711 ({command}) {' '.join(numbers)}\n")
    (made / "cgroup").write_text(cgroup)
    (made / "task/4711/children").write_text(children)
    return made


@pytest.mark.parametrize("cgroup", [V1, f"0::{UNIT}\n", "0::/system.slice/invirt-host-remctld@1.service\n"])
def test_who_does_not_sign_on_is_ended(tmp_path: Path, cgroup: str) -> None:
    assert gate.idle(process(tmp_path, cgroup=cgroup))


@pytest.mark.parametrize(
    "other",
    [
        {"age": 8},
        {"faults": 120},  # a command was run
        {"children": "4712 "},  # a command runs
        {"command": "sh"},
        {"command": "remctld) S 1 (x"},
        {"cgroup": "0::/system.slice/remctld.service\n"},  # the administrator's own
        {"cgroup": f"0::{UNIT}/below\n"},
    ],
)
def test_others_are_left_alone(tmp_path: Path, other: dict[str, object]) -> None:
    assert not gate.idle(process(tmp_path, **other))  # type: ignore[arg-type]


def test_who_went_meanwhile_is_no_matter(tmp_path: Path) -> None:
    assert not gate.idle(tmp_path / "4711")
    assert gate.sweep(tmp_path) == 0


def test_it_reads_what_the_kernel_writes() -> None:
    """This process is as young as the tests are, and no remctld."""
    words = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(words[gate.BEGUN]) / gate.TICKS
    assert 0 <= age < 3600
