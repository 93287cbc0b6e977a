"""Programs around the tests and others' programs: what is asked of them is answered, and ended is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from invirt.base import cli
from invirt.database.commands import admin

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.children


@pytest.mark.parametrize("program", ["invirt-dhcp/sbin/invirt-kea-dhcp4"])
def test_wrappers_of_others_programs_say_how_they_are_used(program: str) -> None:
    done = subprocess.run([ROOT / program, "--help"], capture_output=True, text=True, check=True, timeout=10)
    assert done.stdout.startswith(f"usage: {Path(program).name}")


def test_an_address_with_its_mask_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(admin.COMMAND, ["nic", "set", "00:16:3e:00:00:01", "--ip", "10.86.0.103/24"]) == 2
    assert "Say '10.86.0.103'" in capsys.readouterr().err


def test_a_run_of_tests_that_is_ended_ends_its_own() -> None:
    """As pytest does, the child clears up when it is interrupted."""
    child = (
        "import signal, sys, time\n"
        "print('begun', flush=True)\n"
        "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('cleared up', flush=True)\n"
    )
    work = (
        "import sys, invirt_test\nfrom pathlib import Path\n"
        "invirt_test.install = lambda kinds: None\nsys.argv = ['test', 'golden']\n"
        f"argv = [sys.executable, '-c', {child!r}]\n"
        "invirt_test.here = lambda kind, counts: invirt_test.child(argv, kind, counts)\n"
        "sys.exit(invirt_test.main())\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{ROOT}/scripts:{os.environ.get('PYTHONPATH', '')}"}
    argv = [sys.executable, "-c", work]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout
        for line in process.stdout:
            if line == "begun\n":
                break
        process.send_signal(signal.SIGTERM)
        assert "cleared up" in process.communicate(timeout=30)[0]
