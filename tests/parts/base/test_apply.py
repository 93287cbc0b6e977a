"""invirt-config as a process, with real checkers, killed at every moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEADLINE = 60.0  # seconds


@pytest.fixture
def root(tmp_path: Path, invirt_yaml: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "usr/share/invirt/templates.d").mkdir(parents=True)
    (folder / "etc").mkdir()
    return folder


def register(root: Path, name: str, text: str, check: list[str]) -> Path:
    target = root / "etc" / name
    target.with_name(f"{name}.mako").write_text(text)
    entry = {"target": f"/etc/{name}", "check": check, "mode": "0440"}
    (root / f"usr/share/invirt/templates.d/{name}.yaml").write_text(json.dumps({"templates": [entry]}))
    return target


def command(root: Path, checkout: Path) -> list[str]:
    return [sys.executable, str(checkout / "invirt-base/sbin/invirt-config"), "apply", "--root", str(root)]


def apply(root: Path, checkout: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(root, checkout), capture_output=True, text=True, check=False, timeout=DEADLINE
    )
    assert "Traceback" not in done.stderr
    return done


VISUDO = ["visudo", "-c", "-f", "{}"]
SH = ["sh", "-n", "{}"]


def test_real_checkers_decide(root: Path, checkout: Path) -> None:
    sudoers = register(root, "sudoers", "root ALL=(ALL:ALL) ALL\n", VISUDO)
    script = register(root, "script", "echo one\n", SH)
    assert apply(root, checkout).returncode == 0
    assert sudoers.stat().st_mode & 0o777 == 0o440
    register(root, "script", "echo two\n", SH)
    register(root, "sudoers", "root may do all\n", VISUDO)
    done = apply(root, checkout)
    assert done.returncode == 8
    assert f"{sudoers}.mako compiles to what its checker refuses" in done.stderr
    assert "syntax error" in done.stderr
    assert script.read_text() == "echo one\n"
    assert sudoers.read_text() == "root ALL=(ALL:ALL) ALL\n"


def test_a_checker_that_is_missing_is_named(root: Path, checkout: Path) -> None:
    register(root, "script", "x\n", ["no-such-checker", "{}"])
    done = apply(root, checkout)
    assert done.returncode == 8
    assert "no-such-checker is not installed" in done.stderr


def test_killed_anywhere_leaves_old_or_new_files_and_the_next_run_finishes(
    root: Path, checkout: Path
) -> None:
    """Kills at 12 moments from the start of the interpreter to after the end."""
    names = [f"file{number}" for number in range(10)]

    def write(word: str) -> str:
        text = f"{word}\n" * 2000
        for name in names:
            register(root, name, text, [])
        return text

    old = write("old")
    started = time.monotonic()
    assert apply(root, checkout).returncode == 0
    whole = time.monotonic() - started
    for moment in range(12):
        new = write(f"new{moment}")
        with subprocess.Popen(command(root, checkout), stdout=subprocess.DEVNULL) as process:
            time.sleep(whole * (moment + 1) / 10)
            process.kill()
        assert all((root / "etc" / name).read_text() in (old, new) for name in names)
        done = apply(root, checkout)
        assert (done.returncode, done.stderr) == (0, "")
        assert all((root / "etc" / name).read_text() == new for name in names)
        old = new
    left = [name for name in os.listdir(root / "etc") if name.endswith(".invirt-new")]
    assert not left


def test_two_at_once_do_no_harm(root: Path, checkout: Path) -> None:
    targets = [register(root, f"file{number}", f"{number}\n", []) for number in range(20)]
    running = [
        subprocess.Popen(command(root, checkout), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    ended = [process.communicate(timeout=DEADLINE) for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert [error for _, error in ended] == [""] * 4
    assert sum(out.count("written") for out, _ in ended) == 20
    assert [target.read_text() for target in targets] == [f"{number}\n" for number in range(20)]
