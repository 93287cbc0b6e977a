"""Programs around the tests and others' programs: what is asked of them is answered."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from invirt.base import cli
from invirt.database.commands import admin

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.children


def test_all_programs_say_how_they_are_used() -> None:
    """From a checkout."""

    def wrong(program: str) -> str:
        argv = [ROOT / "scripts/env", program, "--help"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        told = done.returncode == 0 and done.stdout.startswith("usage: ")
        return "" if told else f"{program}: {done.stdout}{done.stderr}"

    programs = [path.name for folder in ("bin", "sbin") for path in ROOT.glob(f"invirt-*/{folder}/*")]
    assert len(programs) > 30
    with ThreadPoolExecutor(2) as pool:
        assert [told for told in pool.map(wrong, programs) if told] == []


def test_packages_apply_nothing_that_the_administrator_has_not(checkout: Path) -> None:
    """A mistake that is being made in invirt.yaml stays one when packages come."""
    for script in (checkout / "debian").glob("*.postinst"):
        assert script.read_text().count("invirt-config apply |") == 0, script


def test_an_address_with_its_mask_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(admin.COMMAND, ["nic", "set", "00:16:3e:00:00:01", "--ip", "10.86.0.103/24"]) == 2
    assert "Say '10.86.0.103'" in capsys.readouterr().err
