"""An installer in a real guest: how it is told what to do, and what the host hears of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from invirt.host import installing
from invirt.host.domain import DomainConfig
from invirt.host.qemu import qmp
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from invirt.host.waiting import wait

SECRET = "$6$salt$" + 86 * "s"
TOLD = [
    *("hostname remus", "name debian-12", "suite bookworm", "mirror ", "architecture amd64"),
    *("url http://10.0.0.1:8180/debian-12", "keyring a2V5", f"password {SECRET}", "key ssh-ed25519 AAAA"),
]


def test_it_is_told_and_heard(qemu: Qemu, remus: DomainConfig, image: Path) -> None:
    """This one has no network: it fails as soon as it has read what to do."""
    words = {
        "ramdisk": str(image / "installer"),
        "memory": 256,
        "on_reboot": "destroy",
        "install": list(TOLD),
    }
    qemu.create(replace(remus, settings={**remus.settings, **words}))
    guest = Guest(remus.name)
    pid = qmp.pid(guest.qmp)
    assert pid and SECRET.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert not guest.told.exists() and SECRET not in guest.config_file.read_text()
    assert wait(lambda: not qemu.running(remus.name), 120), guest.log.read_text()
    said = installing.said(qemu.said(remus.name))
    assert (said.percent, said.failed) == (1, "the machine has no network card")
    assert SECRET.encode() not in qemu.said(remus.name)


def test_what_is_told_is_for_one_boot(qemu: Qemu, remus: DomainConfig, image: Path) -> None:
    """One that begins after a boot that failed is told nothing of that."""
    guest = Guest(remus.name)
    guest.told.parent.mkdir(parents=True)
    guest.told.write_text("\n".join(TOLD))
    qemu.create(remus)
    assert not guest.told.exists()
    pid = qmp.pid(guest.qmp)
    assert pid and b"fw_cfg" not in Path(f"/proc/{pid}/cmdline").read_bytes()
