"""The administrators' programs, as they are installed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.parts.operations.conftest import Site
from tests.parts.operations.fakehosts import Killed, failing, no_fault

SBIN = Path(__file__).parents[3] / "invirt-remote" / "sbin"


def start(name: str, *words: str) -> subprocess.Popen[str]:
    """The program, under way."""
    return subprocess.Popen(
        [sys.executable, str(SBIN / name), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "KRB5CCNAME": "MEMORY:", "KRB5_CLIENT_KTNAME": "/nonexistent"},
    )


def run(name: str, *words: str) -> tuple[int, str]:
    """Exit code, and what it said."""
    with start(name, *words) as program:
        said, _ = program.communicate(timeout=60)
        return program.returncode, said


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
    assert code == 7 and "If it never comes back: --gone host" in said
    gone = ("--gone", "host1", "--gone", "host2")
    code, said = run("invirt-operations", "resolve", "1", "--as", "undone", *gone)
    assert (code, said.splitlines()[-1][-9:]) == (0, "is undone")
    code, said = run("invirt-operations", "undo", "1")
    assert code == 2 and "is undone already" in said
    assert site.homes() == {}


def test_reconcile_ends_with_0_only_without_differences(site: Site) -> None:
    site.rows("DELETE FROM hosts")
    assert run("invirt-reconcile") == (
        1,
        "no host could list the volumes of pool default\n    nothing is known of its disks\n",
    )
    assert run("invirt-reconcile", "--release") == (0, "")


def test_what_is_left_is_tried_again_and_again(site: Site) -> None:
    """Its host is gone for good here: each try takes a new token, and what comes of it is told once."""
    site.hosts.fault = failing("create", "after", Killed)  # type: ignore[arg-type]
    with suppress(Killed):
        site.create("remus")
    site.expire()
    with start("invirt-operations", "watch") as watch:
        try:
            tried = set()
            deadline = time.monotonic() + 30
            while len(tried) < 4:
                assert time.monotonic() < deadline
                tried.update(site.rows("SELECT token FROM operations WHERE error IS NOT NULL"))
                time.sleep(0.1)
        finally:
            watch.terminate()
        said, _ = watch.communicate(timeout=10)
    lines = said.splitlines()
    assert len(lines) == len(set(lines)) and "doesn't answer" in said
    assert site.rows("SELECT state FROM operations") == [("undoing",)]
