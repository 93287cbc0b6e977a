"""A guest moves between two real Xen hosts, over TLS; one whose other host dies goes on where it is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from invirt_lab.xen_host import PAIR, Xen
from tests.xen.test_guests import ADDRESS, APPLIED, CONFIG, NAME, SCRIPT, console, create, joined, told

CERTIFICATES = """\
set -e
cd "$0"
new() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 9 "$@" 2>/dev/null; }
new -subj /CN=ca -keyout ca.key -out ca.pem
for name; do
    new -subj /CN=$name -keyout key -out crt -CA ca.pem -CAkey ca.key -addext subjectAltName=DNS:$name \
        -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth,clientAuth
    cat crt key >$name.pem
done
"""
SETTINGS = {**CONFIG, "disk": ["format=raw, vdev=hda, access=rw, target=/dev/vdc"]}
# The target takes a word that only emulated processors want.
KNOWING = """\
import os, socket
from invirt.host import reservation
from invirt.host.moving import source, target, wire
target.WORDS |= {"cap", "tsc_mode"}
reservation.require, reservation.memory, target._known = (lambda _: None), (lambda _: 96), (lambda _: known)
"""
RECEIVE = """
target.expect("remus", "xen1")
with socket.create_server(("", 3110)) as listening:
    listening.settimeout(400)
    target.serve(listening.accept()[0])
"""
DIES = """
frames, read = [], wire.Wire.read
def dying(self, *kinds):
    frames.append(kinds)
    return os._exit(1) if len(frames) > 9 else read(self, *kinds)
wire.Wire.read = dying
"""
SEND = """
import time
for _ in range(200):  # the other one begins to listen at the same moment
    try:
        source.send("remus", "xen2", 900)
        print("moved")
        break
    except InvirtError as error:
        if "can't be asked" not in error.message:
            print(error.message)
            break
        time.sleep(1)
"""
KEPT = "/var/lib/invirt/domains /var/lib/invirt/guests /run/invirt/leaving"
# A host without LVM; locks() says what became true of the guest's volumes without it.
NO_LVM = f"""\
mkdir -p /root/no && printf '#!/bin/sh\\nexit 3\\n' >/root/no/lvchange && chmod 755 /root/no/lvchange
locks() {{ PATH=/root/no:$PATH /usr/libexec/invirt/volumes $1 {NAME} && echo $1; }}
"""
LONG = 1500.0  # seconds for a move between emulated hosts


def know(pair: tuple[Xen, Xen], tmp_path: Path) -> None:
    """Each other, by certificates."""
    subprocess.run(["sh", "-c", CERTIFICATES, tmp_path, *PAIR], check=True, timeout=60)
    for xen, name in zip(pair, PAIR, strict=True):
        xen.python(APPLIED)
        for file, source in (("ca.pem", "ca.pem"), ("server.pem", f"{name}.pem")):
            text = (tmp_path / source).read_text()
            xen.run("sh", "-ec", 'mkdir -p "${0%/*}"; cat >"$0"', f"/etc/invirt/console/{file}", input=text)


@pytest.fixture(scope="module")
def making(
    pair: tuple[Xen, Xen], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Xen, Future[None]]]:
    """The second one, while remus is made on the first: each is emulated by a CPU of its own."""
    know(pair, tmp_path_factory.mktemp("keys"))
    with ThreadPoolExecutor(1) as beside:
        yield pair[1], beside.submit(create, pair[0], **SETTINGS)


@pytest.fixture
def hosts(pair: tuple[Xen, Xen], making: tuple[Xen, Future[None]]) -> Iterator[tuple[Xen, Xen]]:
    """remus runs on the first one."""
    making[1].result()
    yield pair
    with ThreadPoolExecutor(2) as both:
        list(both.map(told, pair, ["xen.destroy(NAME)"] * 2))


def move(hosts: tuple[Xen, Xen], how: str = "", settings: dict[str, object] = SETTINGS) -> list[str]:
    """What the source says; how: what becomes of the target."""
    known = f"known = DomainConfig(json.loads({json.dumps(settings)!r}))\n"

    def receive() -> None:
        script = SCRIPT + KNOWING + known + how + RECEIVE
        hosts[1].run("/usr/bin/python3", "-", input=script, check=not how, timeout=LONG)

    with ThreadPoolExecutor(1) as beside:
        there = beside.submit(receive)
        said = hosts[0].python(SCRIPT + KNOWING + known + SEND, timeout=LONG).splitlines()
        there.result()
    return said


def test_one_runs_on_a_disk_of_the_hosts_own_group(making: tuple[Xen, Future[None]]) -> None:
    """As most do; what it wrote is gone with it."""
    host = making[0]
    told(host, "disks.create('remus', 'hda', 1)")
    create(host, vif=[])
    typed = console(host)
    typed.sendline(
        "echo kept | dd of=/dev/xvda conv=fsync; cat /sys/class/block/xvda/size; head -c 4 /dev/xvda"
    )
    typed.expect("2097152\r\nkept")
    typed.close()
    assert host.sh(f"{NO_LVM}\nlocks hold; locks release") == "hold\nrelease\n"
    guarded = "echo 'global { use_lvmlockd = 1 }' >/etc/lvm/lvmlocal.conf"
    assert host.sh(f"{NO_LVM}\n{guarded}\nlocks share || rm /etc/lvm/lvmlocal.conf") == ""
    ended = "xen.destroy(NAME)\ndisks.remove('remus', 'hda', 7)\ndisks.purge('remus', 'hda', 7)"
    assert told(host, f"{ended}\nprint(disks.wipe_ended(), disks.sizes())")[0].endswith("d_remus_hda'] {}")


def test_it_moves_and_one_whose_target_dies_goes_on(hosts: tuple[Xen, Xen]) -> None:
    """Its memory, cap and address come along; nothing is left where it was."""
    first, second = hosts
    typed = console(first)
    typed.sendline(f"killall udhcpc; ip address add {ADDRESS}/32 dev eth0; ip route add default dev eth0")
    typed.sendline("x=kept; echo s''o")
    typed.expect("so\r")

    [said] = move(hosts, DIES)
    assert "connection to the other host is lost" in said
    typed.sendline("echo $x once")
    typed.expect("kept once")
    typed.close()
    told(second, "xen.destroy(NAME)")  # as remote would
    assert NAME not in second.sh("xl list; ls /run/invirt/coming || true")

    assert move(hosts) == ["moved"]
    assert NAME not in first.sh(f"xl list; ls {KEPT} || true")
    cap = "xen.xl('sched-credit2', '-d', NAME).split()[-1]"
    assert told(second, f"print(seen().state, seen().machine, {cap})") == ["running 17 60"]
    typed = joined(second)
    typed.sendline("\necho $x twice")
    typed.expect("kept twice")
    assert "3 received" in second.sh(f"ping -c 3 -W 10 {ADDRESS}")
