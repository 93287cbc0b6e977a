"""Debian from nothing to a login, in a real guest: base, Apache, installer, its own loader; some minutes."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from invirt.autoinstaller import signing
from tests.parts.autoinstaller.serving import Inside, kept, served

pytestmark = pytest.mark.nightly
DEADLINE = 900  # seconds for what takes a tenth of that
SECRET = "a password of the test's"
WORDS = (
    *("qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-nodefaults", "-no-user-config", "-no-reboot"),
    *("-display", "none", "-serial", "stdio", "-nic", "user,model=virtio-net-pci"),
)


@pytest.fixture
def state(checkout: Path) -> Iterator[Path]:
    """Debian 12's base."""
    with tempfile.TemporaryDirectory() as folder:  # a short name, that Apache can read
        state = Path(folder, "state")
        kept(checkout, state)
        Path(folder).chmod(0o755)
        yield state


def boot(inside: Inside, *words: str) -> pexpect.spawn:
    """A guest's serial console."""
    return inside(
        lambda: pexpect.spawn(
            WORDS[0], [*WORDS[1:], *words], timeout=DEADLINE, encoding="utf-8", codec_errors="replace"
        )
    )


def asked(guest: pexpect.spawn, command: str) -> str:
    """What a command says in the guest."""
    guest.sendline(f"echo beg'i'n; {command}; echo e'n'd")
    guest.expect("(?s)begin\r\n(.*)end\r\n")
    return str(guest.match[1])


def test_from_nothing_to_a_login(checkout: Path, state: Path, inside: Inside) -> None:
    made = checkout / ".cache/guest"
    subprocess.run([checkout / "scripts/build-guest", made], check=True, stdout=subprocess.DEVNULL)
    disk = state / "disk"
    disk.touch()
    os.truncate(disk, 2 << 30)
    drive = ("-drive", f"file={disk},format=raw,if=virtio")
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=SECRET, check=True, capture_output=True, text=True
    ).stdout
    (state / "parameters").write_text(
        "hostname remus\nsuite debian-12\nurl http://10.0.2.2:8180/debian-12\n"
        f"keyring {base64.b64encode((state / signing.KEYRING).read_bytes()).decode()}\n"
        f"password {hashed}key ssh-ed25519 AAAAC3Nz alice@example.org\n"
    )
    phases = []
    start = time.monotonic()
    with served(checkout, state, inside):
        kernel = ("-kernel", str(made / "vmlinuz"), "-initrd", str(made / "installer"))
        append = ("-append", "console=ttyS0 quiet mitigations=off no_timer_check")
        parameters = ("-fw_cfg", f"name=opt/org.invirt.install,file={state / 'parameters'}")
        guest = boot(inside, *kernel, *append, *drive, *parameters)
        while (
            guest.expect(
                [r"invirt-install: (\d+% [^\r]*)\r", r"invirt-install: (failed[^\r]*)\r", pexpect.EOF]
            )
            == 0
        ):
            phases.append(f"{time.monotonic() - start:6.1f} s  {guest.match[1]}")
        guest.close()
    print("\n".join(phases), file=sys.stderr)
    assert phases[-1].endswith("100% done"), guest.before

    guest = boot(inside, *drive)
    guest.expect("remus login: ")
    print(f"{time.monotonic() - start:6.1f} s  login:", file=sys.stderr)
    guest.sendline("root")
    guest.expect("Password: ")
    guest.sendline(SECRET)
    guest.expect("root@remus:.*# ")
    asked(guest, "stty -echo; export TERM=dumb; bind 'set enable-bracketed-paste off'; PS1=")
    assert asked(guest, "hostname") == "remus\r\n"
    assert "bookworm-security" in asked(guest, "cat /etc/apt/sources.list")
    for _ in range(60):
        address = asked(guest, "ip -4 -br address show scope global")
        if "10.0.2.15" in address:
            break
        time.sleep(1)
    assert "10.0.2.15" in address
    assert asked(guest, "systemctl --failed --no-legend --no-pager") == ""
    assert "ssh.service" in asked(guest, "systemctl list-units --no-pager --state=active 'ssh*'")
    # What a newer kernel's package does: the links lead to it, and the loader goes by them.
    asked(
        guest,
        "mv /boot/vmlinuz-$(uname -r) /boot/vmlinuz-9; ln -sf boot/vmlinuz-9 /vmlinuz",
    )
    guest.sendline("poweroff")
    guest.expect(pexpect.EOF)
    guest.close()
    guest = boot(inside, *drive)
    guest.expect("remus login: ")
    guest.close(force=True)
