"""What a host says of its upgrade, of files as systemd, apt and invirt-check write them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from invirt.base.errors import BadInput, Busy
from invirt.base.names import DomainName
from invirt.host import loading, upgrading
from invirt.host.commands.upgrade import boot_id
from invirt.host.fake import FakeHypervisor

BOOT = "6b7e2a52-9d5c-4d0e-8a58-0e2c5f6d7a11"
APT = """\
Reading package lists...
The following packages will be upgraded:
  invirt-base invirt-host
2 upgraded, 1 newly installed, 0 to remove and 5 not upgraded.
1 not fully installed or removed.
"""


class Systemd:
    """What systemctl is told, and what it says of the unit."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.active, self.told = folder, "inactive", list[str]()

    def __call__(self, argv: Sequence[str]) -> CompletedProcess[str]:
        if argv[1] == "show":
            return CompletedProcess(argv, 0, f"{self.active}\n", "")
        self.told.append(" ".join(argv[1:]))
        self.active = "activating"
        return CompletedProcess(argv, 0, "", "")

    def end(self, what: str, status: str, said: str = "") -> None:
        self.active = "inactive"
        (self.folder / f"{what}.said").write_text(said)
        (self.folder / f"{what}.ended").write_text(f"{status}\n")


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    monkeypatch.setenv("INVIRT_RUN", str(tmp_path))
    monkeypatch.setattr(upgrading, "REQUIRED", tmp_path / "reboot-required")
    monkeypatch.setattr(upgrading, "KERNELS", tmp_path)
    monkeypatch.setattr(upgrading, "BOOT", tmp_path / "boot_id")
    (tmp_path / "boot_id").write_text(f"{BOOT}\n")
    made = Systemd(tmp_path / "upgrade")
    monkeypatch.setattr(upgrading, "run", made)
    return made


def test_it_is_begun_once_and_told_to_its_end(systemd: Systemd) -> None:
    assert upgrading.status("fetch")["state"] == "none"
    upgrading.begin("fetch")
    upgrading.begin("fetch")
    assert systemd.told == ["start --no-block invirt-host-upgrade@fetch.service"]
    assert upgrading.status("fetch")["state"] == "running"
    systemd.end("fetch", "0", APT)
    told = upgrading.status("fetch")
    assert (told["state"], told["status"], told["found"]) == ("ended", 0, 4)
    assert told["said"][-1] == "1 not fully installed or removed."
    upgrading.begin("fetch")
    assert len(systemd.told) == 2 and upgrading.status("fetch")["found"] is None


def test_one_that_was_cut_off_has_failed(systemd: Systemd) -> None:
    upgrading.begin("install")
    systemd.active = "inactive"
    assert upgrading.status("install")["state"] == "running", "systemd has yet to begin it"
    old = time.time() - upgrading.START - 1
    os.utime(systemd.folder / "install.begun", (old, old))
    assert (upgrading.status("install")["state"], upgrading.status("install")["status"]) == ("ended", 1)
    upgrading.begin("install")
    systemd.end("install", "KILL")
    assert upgrading.status("install")["status"] == 1


def test_only_errors_of_the_check_are_told(systemd: Systemd) -> None:
    upgrading.begin("check")
    found = [{"level": level, "where": "here", "what": "it is so"} for level in ("warning", "error")]
    systemd.end("check", "2", json.dumps({"findings": found}))
    assert upgrading.status("check")["found"] == ["here: it is so"]
    for absent in ("null\n", "", "no JSON"):
        systemd.end("check", "0", absent)
        assert upgrading.status("check")["found"] is None


def test_a_kernel_that_came_since_the_boot_needs_another(systemd: Systemd, tmp_path: Path) -> None:
    kernel = tmp_path / "vmlinuz-6.1.0-31-amd64"
    kernel.touch()
    came = kernel.stat().st_ctime
    assert upgrading._why(came + 1) == ""
    assert "the kernel 6.1.0-31-amd64 was installed" in upgrading._why(came - 1)
    (tmp_path / "reboot-required").touch()
    assert "reboot-required" in upgrading._why(came + 1)
    assert abs(upgrading._booted_at() - time.time()) < 10 * 365 * 86400


def test_only_an_empty_host_reboots_and_once(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INVIRT_STATE", str(tmp_path))
    guests = FakeHypervisor()
    monkeypatch.setattr(loading, "hypervisor", lambda: guests)
    upgrading.reboot("00000000-0000-0000-0000-000000000000")
    assert systemd.told == []
    running = [type("Domain", (), {"name": DomainName("d_inode")})]
    monkeypatch.setattr(guests, "domains", lambda: running)
    with pytest.raises(Busy, match="d_inode runs here"):
        upgrading.reboot(BOOT)
    running.clear()
    upgrading.reboot(BOOT)
    assert systemd.told == ["reboot --no-block"]


def test_what_is_no_word_of_it_is_refused(systemd: Systemd) -> None:
    with pytest.raises(BadInput):
        upgrading.begin("../../etc")
    for wrong in ("", "x" * 36, f"{BOOT}\n", f"../{BOOT}"):
        with pytest.raises(BadInput):
            boot_id(wrong)
