"""Emulated guests that Debian is installed in, and their serial consoles."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pexpect

from invirt.autoinstaller import signing
from tests.parts.autoinstaller.serving import Inside

DEADLINE = 900  # seconds for what takes a tenth of that
SECRET = "a password of the test's"
WORDS = (
    *("qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-nodefaults", "-no-user-config", "-no-reboot"),
    *("-display", "none", "-serial", "stdio", "-nic", "user,model=virtio-net-pci"),
)
APPEND = "console=ttyS0 quiet mitigations=off no_timer_check"
STEP = [r"invirt-install: (\d+% [^\r]*)\r", r"invirt-install: (failed[^\r]*)\r", pexpect.EOF]


def image(checkout: Path) -> Path:
    """The folder with kernel and ramdisks, kept from run to run."""
    made = checkout / ".cache/guest"
    subprocess.run([checkout / "scripts/build-guest", made], check=True, stdout=subprocess.DEVNULL)
    return made


@dataclass
class Computer:
    """A guest with a disk of 2 GiB in a folder, in the network that inside is in.

    told: what its installer is told beside what all are, a line each.
    """

    folder: Path
    inside: Inside
    told: str = ""
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.disk = self.folder / "disk"
        self.disk.touch()
        os.truncate(self.disk, 2 << 30)

    def boot(self, *words: str) -> pexpect.spawn:
        """Its serial console."""
        argv = [*WORDS[1:], "-drive", f"file={self.disk},format=raw,if=virtio", *words]
        return self.inside(
            lambda: pexpect.spawn(WORDS[0], argv, timeout=DEADLINE, encoding="utf-8", codec_errors="replace")
        )

    def install(self, image: Path, state: Path, suite: str, ramdisk: str = "installer") -> list[str]:
        """Have the installer put the suite's base of state on the disk; what it said, one a step."""
        said = self.attempt(image, state, suite, ramdisk)
        assert said[-1] == "100% done", said
        return said

    def attempt(self, image: Path, state: Path, suite: str, ramdisk: str = "installer") -> list[str]:
        """The same, done or failed."""
        told = self.folder / "parameters"
        told.write_text(_parameters(state, suite) + self.told)
        kernel = ("-kernel", str(image / "vmlinuz"), "-initrd", str(image / ramdisk), "-append", APPEND)
        guest = self.boot(*kernel, "-fw_cfg", f"name=opt/org.invirt.install,file={told}")
        said: list[str] = []
        while guest.expect(STEP) < 2:
            said.append(guest.match[1])
            self.tell(guest.match[1])
        guest.close()
        assert said, guest.before
        return said

    def login(self, suite: str) -> pexpect.spawn:
        """Boot what is on the disk, and log in; a console whose shell shows no prompt."""
        guest = self.boot()
        guest.expect("remus login: ")
        self.tell(f"login: of {suite}")
        guest.sendline("root")
        guest.expect("Password: ")
        guest.sendline(SECRET)
        guest.expect("root@remus:.*# ")
        asked(guest, "stty -echo; export TERM=dumb; bind 'set enable-bracketed-paste off'; PS1=")
        return guest

    def tell(self, words: str) -> None:
        """When what was reached."""
        print(f"{time.monotonic() - self.began:6.1f} s  {words}", file=sys.stderr)


def _parameters(state: Path, suite: str) -> str:
    words = ["openssl", "passwd", "-6", "-stdin"]
    hashed = subprocess.run(words, input=SECRET, check=True, capture_output=True, text=True).stdout
    return (
        f"hostname remus\nname {suite}\narchitecture amd64\nurl http://10.0.2.2:8180/{suite}\n"
        f"keyring {base64.b64encode((state / signing.KEYRING).read_bytes()).decode()}\n"
        f"password {hashed}key ssh-ed25519 AAAAC3Nz alice@example.org\n"
    )


def asked(guest: pexpect.spawn, command: str, timeout: float = DEADLINE) -> str:
    """What a command says in the guest, within so many seconds."""
    guest.sendline(f"echo beg'i'n; {command}; echo e'n'd")
    guest.expect("(?s)begin\r+\n(.*)end\r+\n", timeout=timeout)
    return str(guest.match[1]).replace("\r", "")


def off(guest: pexpect.spawn) -> None:
    """Power it off from within."""
    guest.sendline("poweroff")
    guest.expect(pexpect.EOF)
    guest.close()
