"""scripts/test that is told to end ends what it started, in order: a lab and servers are taken down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts.waiting import until

DEADLINE = 60.0  # seconds
TESTS = """
import os, subprocess, time
import pytest

@pytest.fixture(scope="session", autouse=True)
def server(testrun_uid):
    argv = ["setsid", "sleep", "1000"]
    with subprocess.Popen(argv) as server:
        try:
            with open("begun", "w") as file:
                file.write(f"{server.pid}\\n")
            yield
        finally:
            server.kill()
            with open("taken-down", "a") as file:
                file.write("x")

def test_that_takes_long():
    time.sleep(1000)
"""
RUN = """
import sys, invirt_test
invirt_test.install = lambda kinds: None
invirt_test.host.TREE = sys.argv.pop()
argv = [*invirt_test.CLEAN, "/usr/bin/python3", "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "."]
invirt_test.here = lambda kind, counts: invirt_test.child(argv, kind, counts)
sys.exit(invirt_test.main(("parts",)))
"""


@pytest.mark.parametrize("word", [signal.SIGTERM, signal.SIGINT])
def test_what_was_started_is_taken_down(checkout: Path, tmp_path: Path, word: signal.Signals) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    begun = tmp_path / "begun"
    path = f"{checkout}/scripts:{checkout}/invirt-base/python"
    argv = [sys.executable, "-c", RUN, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path}) as process:
        try:
            until(
                lambda: process.poll() is not None or begun.exists() and begun.read_text(), seconds=DEADLINE
            )
            assert process.poll() is None
            process.send_signal(word)
            assert process.wait(DEADLINE) != 0
        finally:
            process.kill()
    assert (tmp_path / "taken-down").read_text() == "x"
    assert not Path("/proc", begun.read_text().strip()).exists()
