"""The other kinds move between two real Xen hosts: a PC while it runs, a PV guest standing still."""

from __future__ import annotations

from pathlib import Path

import pytest

from invirt_lab.xen_host import Xen
from tests.xen.test_guests import ADDRESS, NAME, console, create, joined, told
from tests.xen.test_moves import KEPT, SETTINGS, know, move

pytestmark = pytest.mark.nightly

CREDIT = "print(seen().state, seen().machine, xen.xl('sched-credit2', '-d', NAME).split()[-1])"


@pytest.mark.parametrize("kind", ["hvm", "pv"])
def test_it_moves(pair: tuple[Xen, Xen], tmp_path: Path, kind: str) -> None:
    """Its memory, cap, address, console and, of a PC, screen are at the other host."""
    first, second = pair
    know(pair, tmp_path)
    [kernel] = first.sh("ls /boot/vmlinuz-*").split()
    settings = {**SETTINGS, "type": kind, "kernel": kernel, "memory": 192}
    if kind == "hvm":
        settings["extra"] = "console=ttyS0 quiet hostname=remus"
    create(first, **settings)
    typed = console(first)
    typed.sendline(f"killall udhcpc; ip address add {ADDRESS}/32 dev eth0; ip route add default dev eth0")
    typed.sendline("x=kept; echo s''o")
    typed.expect("so\r")
    typed.close()

    assert move(pair, "reservation.memory = lambda _: 192\n", settings) == ["moved"]
    assert NAME not in first.sh(f"xl list; ls {KEPT} || true")
    assert told(second, CREDIT) == ["running 17 60"]
    typed = joined(second)
    typed.sendline("\necho $x twice")
    typed.expect("kept twice")
    typed.close()
    assert "3 received" in second.sh(f"ping -c 3 -W 10 {ADDRESS}")
    if kind == "hvm":
        second.sh("test -S /run/invirt/screens/17/vnc")
    told(second, "xen.destroy(NAME)")
