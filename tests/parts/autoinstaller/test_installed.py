"""Debian from nothing to a login, in a real guest: base, Apache, installer, its own loader; some minutes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.parts.autoinstaller.guests import Computer, asked, image, off
from tests.parts.autoinstaller.serving import Inside, kept, served

pytestmark = pytest.mark.nightly


@pytest.mark.parametrize(("suite", "codename"), [("debian-12", "bookworm"), ("debian-13", "trixie")])
def test_from_nothing_to_a_login(
    checkout: Path, state: Path, inside: Inside, suite: str, codename: str
) -> None:
    kept(checkout, state, suite)
    made = image(checkout)
    with served(checkout, state, inside):
        computer = Computer(state, inside)
        computer.install(made, state, suite)
    guest = computer.login(suite)
    assert asked(guest, "hostname") == "remus\n"
    assert f"{codename}-security" in asked(guest, "cat /etc/apt/sources.list")
    for _ in range(60):
        address = asked(guest, "ip -4 -br address show scope global")
        if "10.0.2.15" in address:
            break
        time.sleep(1)
    assert "10.0.2.15" in address
    assert asked(guest, "systemctl --failed --no-legend --no-pager") == ""
    assert "=10min" in asked(guest, "systemctl show -p JobRunningTimeoutUSec dev-ttyS0.device")
    assert "ssh.service" in asked(guest, "systemctl list-units --no-pager --state=active 'ssh*'")
    # What a newer kernel's package does: the links lead to it, and the loader goes by them.
    asked(
        guest,
        "mv /boot/vmlinuz-$(uname -r) /boot/vmlinuz-9; ln -sf boot/vmlinuz-9 /vmlinuz",
    )
    off(guest)
    guest = computer.boot()
    guest.expect("remus login: ")
    guest.close(force=True)
