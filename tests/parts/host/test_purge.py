"""The package's own script, as dpkg runs it, in folders of a test's own."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

import pytest


def purge(checkout: Path, package: str, root: Path) -> str:
    """Run the script with /etc, /run and /var in root; what it says."""
    script = (checkout / f"debian/{package}.postrm").read_text()
    for folder in ("/etc/", "/run/", "/var/"):
        script = script.replace(f" {folder}", f" {root}{folder}").replace(f"={folder}", f"={root}{folder}")
    argv = ["sh", "-c", script, "postrm", "purge"]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stderr


@pytest.mark.parametrize("package", ["invirt-host", "invirt-base"])
def test_a_guest_that_runs_keeps_what_it_has(checkout: Path, tmp_path: Path, package: str) -> None:
    for name in ("d_on", "d_off"):
        for folder in ("run", "var/lib"):
            (tmp_path / folder / "invirt/guests" / name).mkdir(parents=True)
        (tmp_path / "run/invirt/guests" / name / "lock").touch()
    kept = tmp_path / ("var/lib" if package == "invirt-host" else "run") / "invirt/guests"
    with (tmp_path / "run/invirt/guests/d_on/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = purge(checkout, package, tmp_path)
        assert [path.name for path in kept.iterdir()] == ["d_on"]
    if package == "invirt-host":
        assert "d_on still runs" in said
    assert "still runs" not in purge(checkout, package, tmp_path)
    assert not kept.exists()
