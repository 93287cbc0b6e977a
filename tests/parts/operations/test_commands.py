"""The administrators' programs, as they are installed."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.parts.operations.conftest import Site
from tests.parts.operations.fakehosts import Killed, failing, no_fault

SBIN = Path(__file__).parents[3] / "invirt-remote" / "sbin"


def run(name: str, *words: str) -> tuple[int, str]:
    """Exit code, and what it said."""
    done = subprocess.run(
        [sys.executable, str(SBIN / name), *words],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        env={**os.environ, "KRB5CCNAME": "MEMORY:", "KRB5_CLIENT_KTNAME": "/nonexistent"},
    )
    return done.returncode, done.stdout


def test_operations_are_listed_and_shown(site: Site) -> None:
    assert run("invirt-operations", "list") == (0, "no operation\n")
    site.create("remus")
    site.hosts.fault = failing("create", "after", Killed)  # type: ignore[arg-type]
    with suppress(Killed):
        site.submit("boot", "remus")
    site.hosts.fault = no_fault
    code, said = run("invirt-operations", "list")
    assert code == 0 and "running  boot" in said and "remus by alice@INVIRT.TEST" in said
    assert run("invirt-operations", "list", "--stuck") == (0, "no operation\n")
    assert len(run("invirt-operations", "list", "--all")[1].splitlines()) == 2
    code, said = run("invirt-operations", "show", "2")
    assert "1. boot guest on host1: doing; undone by ending remus on host1" in said
    assert run("invirt-operations", "show", "9") == (3, "invirt-operations: there is no operation 9\n")


def test_one_that_is_worked_on_is_left_alone(site: Site) -> None:
    site.hosts.fault = failing("create", "after", Killed)  # type: ignore[arg-type]
    with suppress(Killed):
        site.create("remus")
    assert run("invirt-operations", "run") == (0, "")
    code, said = run("invirt-operations", "undo", "1")
    assert code == 5 and "is being worked on by" in said
    site.expire()
    code, said = run("invirt-operations", "resolve", "1", "--as", "undone")
    assert (code, said.splitlines()[-1][-9:]) == (0, "is undone")
    code, said = run("invirt-operations", "undo", "1")
    assert code == 2 and "is undone already" in said
    assert site.homes() == {}


def test_reconcile_ends_with_0_only_without_differences(site: Site) -> None:
    site.rows("DELETE FROM hosts")
    assert run("invirt-reconcile") == (
        1,
        "no host could list the volumes\n    nothing is known of the disks\n",
    )
    assert run("invirt-reconcile", "--release") == (0, "")
