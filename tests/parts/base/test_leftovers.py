"""scripts/test fails when tests leave something behind, and names it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

DEADLINE = 60.0  # seconds
ORPHAN = "setsid sleep 1000 & exit 0"


def command(checkout: Path, script: str) -> list[str]:
    """A shell script, run as tests are run."""
    program = str(checkout / "scripts/invirt_leftovers.py")
    return ["unshare", "--mount", "--net", "--", "/usr/bin/python3", program, "sh", "-c", script]


def run(checkout: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What becomes of it."""
    argv = command(checkout, script)
    done = subprocess.run(
        argv, env=environment or None, capture_output=True, text=True, check=False, timeout=DEADLINE
    )
    assert not done.stderr
    return done


@pytest.fixture
def copied(tmp_path: Path, checkout: Path) -> Path:
    """A checkout of one package, whose first bytecode nobody else sees."""
    for folder in ("scripts", "invirt-base/python/invirt/base"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(checkout / "scripts/invirt_leftovers.py", tmp_path / "scripts")
    (tmp_path / "invirt-base/python/invirt/base/ours.py").touch()
    return tmp_path


@pytest.mark.parametrize("code", [0, 1, 3])
def test_who_leaves_nothing_ends_as_it_ends(checkout: Path, code: int) -> None:
    done = run(checkout, f"sleep 0.1 & mount -t tmpfs tmpfs /mnt; umount /mnt; exit {code}")
    assert (done.returncode, done.stdout) == (code, "")


def test_an_orphan_is_named_with_its_test_and_ended(checkout: Path) -> None:
    done = run(checkout, ORPHAN, PATH="/usr/bin:/bin", PYTEST_CURRENT_TEST="test_x.py::test_y (call)")
    assert done.returncode == 1
    first, _, rest = done.stdout.partition(": ")[2].partition(": ")
    assert rest == "sleep 1000 (of test_x.py::test_y (call))\n"
    assert not Path("/proc", first.removeprefix("process ")).exists()


def test_one_that_is_about_to_end_is_waited_for(checkout: Path) -> None:
    assert run(checkout, "setsid sleep 1 & exit 0").returncode == 0


def test_mounts_and_interfaces_are_named(checkout: Path) -> None:
    done = run(checkout, "mount -t tmpfs tmpfs /mnt; ip link add left0 type veth peer name left1")
    assert done.returncode == 1
    assert "left behind: mount /mnt (" in done.stdout
    assert "left behind: interface left0\n" in done.stdout


def test_bytecode_is_named_that_was_not_there_before(copied: Path) -> None:
    folder = copied / "invirt-base/python"
    script = f"cd {folder} && /usr/bin/python3 $FLAG -c 'import invirt.base.ours'"
    assert run(copied, script, FLAG="-B").returncode == 0
    done = run(copied, script, FLAG="")
    assert (done.returncode, done.stdout) == (1, f"left behind: bytecode {folder}/invirt/base/__pycache__\n")
    assert run(copied, script, FLAG="").returncode == 0


def test_a_command_that_is_killed_has_failed(checkout: Path) -> None:
    assert run(checkout, "kill -9 $$").returncode == 1


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(checkout: Path) -> None:
    script = 'setsid sleep 1000 & echo "$!"; exec sleep 1000'
    with subprocess.Popen(command(checkout, script), stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        orphan = int(running.stdout.readline())
        running.terminate()
        assert running.wait(DEADLINE) == 1
    assert not Path("/proc", str(orphan)).exists()
