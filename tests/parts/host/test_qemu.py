"""Guests in real QEMU processes."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from invirt.base.errors import BadInput, CommandFailed, NotFound
from invirt.host.console import logs
from invirt.host.domain import DomainConfig
from invirt.host.protocols import Domain
from invirt.host.qemu import accelerator, probe, qmp
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.kept import BREAK
from invirt.host.waiting import wait

from .conftest import prompt

RELAY = str(Path(__file__).parents[3] / "invirt-host/files/usr/libexec/invirt/console")
XM = "from invirt.base.cli import start; from invirt.host.commands.xm import COMMAND; start(COMMAND)"


def xm(*words: str, status: int = 0) -> str:
    """What `xm WORDS…` says; fails if it doesn't end with status."""
    argv = [sys.executable, "-c", XM, *words]
    done = subprocess.run(argv, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


class Terminal:
    """`xm console d_remus`, another command of xm or another program of Python's, in a pseudo-terminal."""

    def __init__(self, *words: str, program: tuple[str, ...] = ("-c", XM)) -> None:
        self.keys, other = pty.openpty()
        argv = [sys.executable, *program, *(words or ("console", "d_remus"))]
        self.process = subprocess.Popen(argv, stdin=other, stdout=other, stderr=other, start_new_session=True)
        os.close(other)
        self.screen = b""

    def shows(self, text: bytes, seconds: float = 40) -> bool:
        """Whether text comes up on the screen in time."""
        deadline = time.monotonic() + seconds
        while text not in self.screen and time.monotonic() < deadline:
            if select.select([self.keys], [], [], 0.2)[0]:
                try:
                    self.screen += os.read(self.keys, 4096)
                except OSError:  # the other side is closed
                    break
        return text in self.screen

    def types(self, text: bytes) -> None:
        """Press keys; the screen is looked at from here on."""
        self.screen = b""
        os.write(self.keys, text)


def test_a_guests_life(qemu: Qemu, remus: DomainConfig) -> None:
    qemu.create(remus)
    assert prompt("d_remus")
    process = qmp.pid(Guest("d_remus").qmp)
    assert qemu.domains() == [Domain("d_remus", 128, 1)]

    qemu.create(remus)  # runs already: the same process
    assert qmp.pid(Guest("d_remus").qmp) == process

    xm("reboot", "d_remus")
    assert prompt("d_remus", times=2)
    assert qmp.pid(Guest("d_remus").qmp) == process

    xm("shutdown", "d_remus")
    assert wait(lambda: not qemu.running("d_remus"), 20)
    xm("shutdown", "d_remus")
    qemu.destroy("d_remus")
    assert qemu.domains() == []
    with pytest.raises(NotFound, match="d_remus is off"):
        qemu.reboot("d_remus")


def test_destroy_and_boot_again(qemu: Qemu, remus: DomainConfig) -> None:
    for _ in range(2):
        qemu.create(remus)
        assert qemu.running("d_remus")
        qemu.destroy("d_remus")
        assert not qemu.running("d_remus")


def test_killed_qemu_is_off(qemu: Qemu, remus: DomainConfig) -> None:
    qemu.create(remus)
    process = qmp.pid(Guest("d_remus").qmp)
    assert process
    os.kill(process, signal.SIGKILL)
    assert wait(lambda: not qemu.running("d_remus"), 10)
    qemu.create(remus)
    assert qmp.pid(Guest("d_remus").qmp) not in (None, process)


def test_qemu_is_under_a_filter_and_sees_no_disk_by_name(qemu: Qemu, remus: DomainConfig, home: Path) -> None:
    qemu.create(remus)
    status = Path(f"/proc/{qmp.pid(Guest('d_remus').qmp)}/status").read_text()
    assert "Seccomp:\t2" in status
    assert (home / "volumes/d_remus_hda").stat().st_mode & 0o077 == 0


def test_guest_that_cant_start_says_why(qemu: Qemu, remus: DomainConfig) -> None:
    broken = DomainConfig({**remus.settings, "kernel": "/nowhere/vmlinuz"})
    with pytest.raises(CommandFailed) as raised:
        qemu.create(broken)
    assert "/nowhere/vmlinuz" in raised.value.hint
    assert not qemu.running("d_remus")


def test_what_xm_shows(qemu: Qemu, remus: DomainConfig) -> None:
    qemu.create(remus)
    pid = str(qmp.pid(Guest("d_remus").qmp))
    head, row = (line.split() for line in xm("list", "d_remus").splitlines())
    assert head == ["Name", "ID", "Mem", "VCPUs", "State", "Time(s)"]
    assert row[:5] == ["d_remus", pid, "128", "1", "r-----"]
    assert float(row[5]) > 0
    assert xm("uptime").splitlines()[1].split()[:2] == ["d_remus", pid]
    assert xm("vcpu-list", "d_remus").splitlines()[1].split()[:3] == ["d_remus", pid, "0"]
    assert "total_memory" in xm("info")
    assert "d_other is off" in xm("list", "d_other", status=3)
    for verb, state in (("pause", "--p---"), ("pause", "--p---"), ("unpause", "r-----")):
        xm(verb, "d_remus")
        assert xm("list", "d_remus").split()[-2] == state
    for verb in (("dmesg",), ("sched-credit2",), ("block-list", "d_remus")):
        assert "is Xen's own" in xm(*verb, status=2)
    assert "d_other is off" in xm("pause", "d_other", status=3)
    Guest("d_remus").config_file.unlink()  # as a purge of the package once did
    assert "d_remus" in xm("list")


def test_a_machines_name_is_not_its_domains(qemu: Qemu, remus: DomainConfig) -> None:
    qemu.create(remus)
    for verb in ("destroy", "shutdown", "reboot", "console", "list"):
        assert "That of machine remus is d_remus" in xm(verb, "remus", status=3)
    assert qemu.running("d_remus")
    assert "must be of A-Z" in xm("destroy", "../guests/d_remus", status=2)


def test_a_disk_that_is_read_only_keeps_what_it_has(qemu: Qemu, remus: DomainConfig, home: Path) -> None:
    """Made by a file as people write them, with a console at once."""
    disk = home / "volumes/d_remus_hda"
    own = {**remus.settings, "name": "own"}  # no machine's: those want a reservation
    words = [f"{word} = {value!r}\n" for word, value in own.items()]
    (home / "remus.cfg").write_text("".join(words) + f"disk = ('file:{disk},xvda,r',)\n")
    terminal = Terminal("create", "-c", str(home / "remus.cfg"), "memory=96")
    assert terminal.shows(b"guest# ")
    terminal.types(b"cat /sys/block/vda/ro; echo lost > /dev/vda; echo do''ne\r")
    assert terminal.shows(b"done")
    assert b"\r\n1\r\n" in terminal.screen
    assert disk.read_bytes()[:4] == b"\0\0\0\0"
    assert qemu.domains() == [Domain("own", 96, 1)]
    qemu.destroy("own")


def test_destroyed_while_somebody_types(qemu: Qemu, remus: DomainConfig) -> None:
    qemu.create(remus)
    terminal = Terminal()
    assert terminal.shows(b"leaves")
    process = qmp.pid(Guest("d_remus").qmp)
    assert process
    os.kill(process, signal.SIGSTOP)
    terminal.types(b"unread\r")
    time.sleep(0.2)  # typed and not read: what QEMU's end answers with a reset
    qemu.destroy("d_remus")
    assert terminal.shows(b"d_remus is off")
    assert b"Traceback" not in terminal.screen
    assert terminal.process.wait(10) == 0


def test_firmware_is_seen_on_the_console(qemu: Qemu, remus: DomainConfig) -> None:
    settings = {word: remus.settings[word] for word in ("name", "machine", "memory", "disk")}
    qemu.create(DomainConfig({**settings, "type": "hvm"}))
    assert wait(lambda: b"SeaBIOS" in Guest("d_remus").log.read_bytes(), 30)


def test_a_machine_without_a_kernel_says_so_first(qemu: Qemu, remus: DomainConfig) -> None:
    with pytest.raises(BadInput, match="domain d_remus has no kernel"):
        qemu.create(DomainConfig({**remus.settings, "kernel": ""}))
    assert not Guest("d_remus").config_file.exists()


def test_missing_disk_is_named(qemu: Qemu, remus: DomainConfig, home: Path) -> None:
    (home / "volumes/d_remus_hda").unlink()
    with pytest.raises(CommandFailed) as raised:
        qemu.create(remus)
    assert "has no disk hda" in raised.value.hint


def test_a_disk_is_never_open_twice(qemu: Qemu, remus: DomainConfig) -> None:
    qemu.create(remus)
    twin = replace(remus, settings={**remus.settings, "name": "d_twin", "machine": 18})
    with pytest.raises(CommandFailed) as raised:
        qemu.create(twin)
    assert "lock" in raised.value.hint


def test_console_and_disk(qemu: Qemu, remus: DomainConfig) -> None:
    qemu.create(remus)
    terminal = Terminal()
    assert terminal.shows(b"guest# ")
    terminal.types(b"hostname; echo kept | dd of=/dev/vda conv=fsync; echo do''ne\r")
    assert terminal.shows(b"done")
    assert b"remus\r\n" in terminal.screen
    second = Terminal()
    assert second.shows(b"somebody else is on the console of d_remus")
    assert second.process.wait(10) == 5
    terminal.types(b"\x1d")
    assert terminal.process.wait(10) == 0

    qemu.destroy("d_remus")
    qemu.create(remus)
    terminal = Terminal()
    assert terminal.shows(b"guest# ")
    terminal.types(b"head -c 5 /dev/vda\r")
    assert terminal.shows(b"kept\r\n")
    qemu.destroy("d_remus")
    assert terminal.shows(b"d_remus is off")
    assert terminal.process.wait(10) == 0


def test_a_break_reaches_the_guest(qemu: Qemu, remus: DomainConfig) -> None:
    """In one piece or in several.  What only begins as one is the guest's; so is all of who comes by hand."""
    qemu.create(remus)
    folder = str(Guest("d_remus").console.parent)
    terminal = Terminal(folder, program=(RELAY,))
    assert terminal.shows(b"guest# ")
    for begin, end in ((b"", BREAK), (BREAK[:3], BREAK[3:])):
        terminal.types(begin)
        terminal.types(end + b"h")
        assert terminal.shows(b"sysrq: HELP")
    terminal.types(b"stty raw -echo; echo be''gun; head -c 3 | od -An -tx1; stty sane\r")
    assert terminal.shows(b"begun")
    terminal.types(BREAK[:3])
    assert terminal.shows(b"ff f3 ff")
    assert terminal.shows(b"guest# ")
    second = Terminal(folder, program=(RELAY,))
    assert second.process.wait(10) == 1  # somebody is there
    terminal.process.kill()
    terminal.process.wait(10)

    terminal = Terminal()
    assert terminal.shows(b"leaves")
    terminal.types(b"stty raw -echo; echo be''gun; head -c 5 | od -An -tx1; stty sane\r")
    assert terminal.shows(b"begun")
    terminal.types(BREAK + b"h")
    assert terminal.shows(b"ff f3 ff f3 68")
    terminal.types(b"\x1d")
    assert terminal.process.wait(10) == 0

    terminal = Terminal(folder, program=(RELAY,))
    assert wait(lambda: terminal.types(b"\x1d\r") or terminal.shows(b"guest# ", 1), 20)  # no key leaves it
    qemu.destroy("d_remus")
    assert terminal.shows(b"d_remus is off") and terminal.process.wait(10) == 0


def test_console_of_one_that_is_off(home: Path) -> None:
    terminal = Terminal()
    assert terminal.shows(b"d_remus is off")
    assert terminal.process.wait(10) == 3


@pytest.mark.nightly
def test_reboot_resets_a_deaf_guest(qemu: Qemu, remus: DomainConfig) -> None:
    deaf = DomainConfig({**remus.settings, "extra": f"{remus.text('extra')} acpi=off"})
    qemu.create(deaf)
    assert prompt("d_remus")
    Qemu(qemu.supervisor, obey=1).reboot("d_remus")
    assert prompt("d_remus", times=2)


@pytest.mark.nightly
def test_long_logs_are_cut_while_the_guest_writes(qemu: Qemu, remus: DomainConfig) -> None:
    qemu.create(remus)
    assert prompt("d_remus")
    log = Guest("d_remus").log
    with log.open("ab") as file:
        file.write(b"x" * logs.LONGEST + b"the end")
    logs.bound()
    assert log.stat().st_size <= logs.KEPT
    assert log.read_bytes().endswith(b"the end")
    qemu.reboot("d_remus")
    assert prompt("d_remus")


def test_what_long_gone_guests_left_is_cleared_away(qemu: Qemu, remus: DomainConfig) -> None:
    qemu.create(remus)
    folder = Guest("d_remus").log.parent
    os.utime(folder, (0, 0))
    qemu.tidy(days=7)
    assert folder.exists()
    qemu.destroy("d_remus")
    os.utime(folder, (0, 0))
    qemu.tidy(days=7)
    assert not folder.exists()
    qemu.create(remus)


def test_probe_decides_and_says_why(home: Path) -> None:
    assert accelerator.chosen() == ("tcg", "invirt-host-probe did not run")
    name, reason = probe.probe()
    assert accelerator.chosen() == (name, reason)
    assert "prompt" in reason or "KVM" in reason or "did not start" in reason, reason
    assert not Guest(probe.NAME).running()
    assert not Guest(probe.NAME).keeper.exists()  # its unit has no netlink, without which none can be
    print(name, reason)
