"""Each guest's QEMU is a user of its own, whom the others can do nothing to."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from invirt import config
from invirt.base.errors import CommandFailed
from invirt.host import paths
from invirt.host.domain import DomainConfig
from invirt.host.qemu import qmp
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from tests.parts.host.probe import TRIES

from .conftest import Inside

NIC = "mac=52:54:00:00:00:11, ip=192.0.2.17, vifname=inv17, script=vif-invirtroute"
PROBE = Path(__file__).with_name("probe.py")


def process(name: str) -> int:
    """Of the guest's QEMU."""
    found = qmp.pid(Guest(name).qmp)
    assert found
    return found


def uids(pid: int) -> set[int]:
    """Real, effective, saved and of files, of users and of groups."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {int(word) for line in lines if line[:4] in ("Uid:", "Gid:") for word in line.split()[1:]}


def possible(uid: int, pid: int) -> list[str]:
    """What uid can do to a process."""
    user = ["--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--bounding-set=-all"]
    argv = ["setpriv", *user, sys.executable, "-"]
    done = subprocess.run(
        [*argv, str(pid)], input=PROBE.read_text(), capture_output=True, text=True, check=True, timeout=30
    )
    found: list[str] = json.loads(done.stdout)
    return found


def another(one: DomainConfig, name: str, **settings: int) -> DomainConfig:
    """A guest like it, without its disk."""
    return replace(one, settings={**one.settings, "name": name, "disk": [], **settings})


def test_one_that_is_taken_over_can_do_nothing_to_another(
    qemu: Qemu, remus: DomainConfig, inside: Inside
) -> None:
    inside(qemu.create, DomainConfig({**remus.settings, "vif": [NIC]}))
    qemu.create(another(remus, "d_romulus", machine=18))
    one, other, base = process("d_remus"), process("d_romulus"), config.hypervisor.uid_base
    assert uids(one) == {base + 17}
    assert uids(other) == {base + 18}
    assert possible(base + 18, one) == []
    [keeper] = [int(child) for child in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
    assert possible(base + 17, keeper) == []  # root's, which keeps the guest's rules
    assert possible(base + 17, one) == list(TRIES)  # which is what one user for all could


def test_no_two_guests_have_one_uid(qemu: Qemu, remus: DomainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu.create(remus)
    with pytest.raises(CommandFailed) as raised:
        qemu.create(another(remus, "d_romulus"))
    assert f"runs as {config.hypervisor.uid_base + 17}" in raised.value.hint


def test_a_machine_without_a_number_does_not_run(qemu: Qemu, remus: DomainConfig) -> None:
    with pytest.raises(CommandFailed) as raised:
        qemu.create(another(remus, "d_remus", machine=0))
    assert "doesn't say its machine's number" in raised.value.hint
    qemu.create(another(remus, "own", machine=0))
    assert uids(process("own")) == {config.hypervisor.uid_base}


def test_what_an_earlier_machine_of_the_name_left_is_gone(qemu: Qemu, remus: DomainConfig) -> None:
    """Its log, and the last words of its QEMU, which an owner is told when a boot fails."""
    broken = {"kernel": "/nowhere/vmlinuz"}
    with pytest.raises(CommandFailed):
        qemu.create(DomainConfig({**remus.settings, **broken}))
    folder = Guest("d_remus").log.parent
    Guest("d_remus").log.write_text("secret")
    (folder / "qemu.log").write_text("secret")
    assert [path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir(), folder.parent)] == [0] * 6
    qemu.create(another(remus, "d_remus", machine=18))
    texts = [path.read_bytes() for path in folder.iterdir()]
    assert len(texts) == 4
    assert not any(b"secret" in text for text in texts)
    assert (paths.run() / "guests/d_remus").stat().st_mode & 0o077 == 0
