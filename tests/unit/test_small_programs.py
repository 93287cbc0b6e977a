"""Programs around the tests and others' programs: what is asked of them is answered."""

from __future__ import annotations

import subprocess
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


def test_packages_apply_nothing_that_the_administrator_has_not(checkout: Path) -> None:
    """A mistake that is being made in invirt.yaml stays one when packages come."""
    for script in (checkout / "debian").glob("*.postinst"):
        assert script.read_text().count("invirt-config apply |") == 0, script


def test_an_address_with_its_mask_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(admin.COMMAND, ["nic", "set", "00:16:3e:00:00:01", "--ip", "10.86.0.103/24"]) == 2
    assert "Say '10.86.0.103'" in capsys.readouterr().err
