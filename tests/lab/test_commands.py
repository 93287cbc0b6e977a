"""Commands of administrators, as they type them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from invirt.base.process import run
from invirt_lab import host
from invirt_lab.site import CLUSTER, SHARED
from tests.lab.users import Done, Lab, eventually

BUSY = 5


def script(*words: str) -> Done:
    """scripts/lab, whatever comes of it."""
    return run([str(host.TREE / "scripts/lab"), *words], timeout=60, check=False)


def test_scripts_lab_does_what_it_says(lab: Lab) -> None:
    shell = script("shell", "host1", "sh", "-c", "hostname; echo err >&2; exit 7")
    assert (shell.returncode, shell.stdout, shell.stderr) == (7, "host1\n", "err\n")
    ticket = script("as", "alice", "klist")
    assert (ticket.returncode, "Default principal: alice@INVIRT.TEST" in ticket.stdout) == (0, True)
    assert script("as", "bob", "sh", "-c", "exit 7").returncode == 7
    lab.on("remote", "systemd-cat", "echo", "a line for the log")
    eventually(lambda: "a line for the log" in script("log", "remote", "-n", "20").stdout, "the line")
    again = script("up")
    assert (again.returncode, "there is a lab already" in again.stderr) == (BUSY, True)
    status = script("status")
    assert status.returncode == 0, status.stdout
    assert {line.split()[0] for line in status.stdout.splitlines()} >= set(CLUSTER)


@pytest.fixture
def stray(lab: Lab, machine: Callable[..., str]) -> Iterator[str]:
    """The volume of no machine, beside that of one."""
    machine()
    volume = f"{SHARED}/volumes/d_stray_hda"
    lab.on("host1", "truncate", "--size=1G", volume)
    yield volume
    lab.on("host1", "rm", "-f", volume)


def test_reconcile_fixes(lab: Lab, stray: str) -> None:
    """What belongs to no machine is shown, then moved to the trash by --fix, and no more."""

    def reconcile(*words: str) -> Done:
        return lab.on("remote", "invirt-reconcile", *words, check=False)

    words = "volume hda of stray (1 GiB) in pool default belongs to no machine\n    move it to the trash"
    shown = reconcile()
    assert (shown.returncode, shown.stdout) == (1, f"{words} (--fix does it)\n")
    assert lab.on("host1", "test", "-f", stray, check=False).returncode == 0
    fixed = reconcile("--fix")
    assert (fixed.returncode, fixed.stdout) == (0, f"{words}: done\nno difference left\n")
    assert lab.on("host1", "test", "-f", stray, check=False).returncode == 1
    trash = lab.on("host1", "find", f"{SHARED}/volumes/trash", "-name", "*stray*", "-size", "1G")
    assert trash.stdout.strip()
    done = reconcile()
    assert (done.returncode, done.stdout) == (0, "no difference\n")
