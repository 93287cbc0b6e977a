"""What a boot and a move cost emulated hosts' processors, against bare xl for the same guest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from invirt_lab import console, installing
from invirt_lab.xen_host import Xen
from invirt_lab.xen_site import TYPE
from tests.bench import cpu
from tests.lab.users import Lab
from tests.results import Result, best, keep
from tests.xen.locks import GROUP
from tests.xen.on_site import ADDRESSES, LONG, SLOW, Make, debian, hosts, lab, machine, san, tidy

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(9 * SLOW)]

__all__ = ["debian", "hosts", "lab", "machine", "san", "tidy"]  # fixtures
MINUTE = 60.0  # what a host does anyway it does once in it at least
LOOK, STILL = 20.0, 0.2  # seconds of a look, and what more of a processor hosts take that have calmed down
PATIENCE = 900.0  # seconds until they have
TIMERS = ("invirt-reconcile.timer", "invirt-trash.timer")
FILE, KEY = "/root/bare", "/root/bare-key"


@pytest.fixture(autouse=True)
def quiet(hosts: tuple[Xen, Xen], lab: Lab) -> Iterator[None]:
    """What comes now and then is of no call: nobody looks what the hosts have, and they don't tidy up."""
    lab.on("remote", "systemctl", "stop", *TIMERS)
    for host in hosts:
        host.sh("systemctl stop invirt-host-tidy.timer")
    yield
    for host in hosts:
        host.sh("systemctl start invirt-host-tidy.timer")
    lab.on("remote", "systemctl", "start", *TIMERS)


class Meter:
    """Of seconds of this machine's processor that emulated hosts take, but for what they take anyway.

    A machine may become slow for a while: so a miss is measured again (best()), with what is done anyway.
    All is looked at for whole minutes, in each of which comes what comes once a minute.
    """

    def __init__(self, *hosts: Xen) -> None:
        folders = [str(host.folder) for host in hosts]
        processes = Path("/proc").glob("[1-9]*")
        self.emulators = [int(process.name) for process in processes if _emulates(process, folders)]
        assert len(self.emulators) == len(hosts)

    def rate(self, seconds: float) -> float:
        """How much of a processor they take, looked at for so long."""
        before = cpu.used(*self.emulators)
        time.sleep(seconds)
        return (cpu.used(*self.emulators) - before) / seconds

    def cost(self, act: Callable[[], object]) -> float:
        """Of what act does, and what comes of it: a guest boots, until all is calm."""
        time.sleep(LOOK)  # what was done before is over
        anyway = self.rate(MINUTE)
        before, began = cpu.used(*self.emulators), time.monotonic()
        act()
        done = time.monotonic()
        while self.rate(LOOK) > anyway + STILL:
            assert time.monotonic() - done < PATIENCE, "the hosts don't calm down"
        time.sleep((began - time.monotonic()) % MINUTE)
        return cpu.used(*self.emulators) - before - anyway * (time.monotonic() - began)


def _emulates(process: Path, folders: list[str]) -> bool:
    """Whether it is the emulator of a host with one of these folders."""
    with suppress(OSError):
        program, *words = (process / "cmdline").read_text().split("\0")
        return "qemu" in program and any(f"{folder}/" in word for folder in folders for word in words)
    return False


def shown(what: str, ours: float, bare: float) -> float:
    """The ratio of a turn of each, whose seconds go on the table."""
    keep(Result(what, ours, "s of processor", bare=bare))
    return ours / bare


def new(lab: Lab, machine: Make, pool: str) -> str:
    """A machine that has run once, so that all is warm, and is off."""
    name = machine("--type", TYPE, "--memory", "96", "--pool", pool)
    for word in ("create", "destroy"):
        lab.remctl("alice", "control", name, word, timeout=SLOW)
    return name


def ours(lab: Lab, *words: str) -> Callable[[], object]:
    """A call of a user's, or of an administrator's."""
    return lambda: lab.remctl("bob" if words[0] == "admin" else "alice", *words, timeout=LONG)


@pytest.fixture(params=["a shell", installing.SYSTEM])
def guest(request: pytest.FixtureRequest, lab: Lab, machine: Make) -> str:
    """One that is off, and what it boots: nothing but a shell, or what its users have had installed."""
    if request.param != installing.SYSTEM:
        return new(lab, machine, "xen1")
    name = str(request.getfixturevalue("debian")[0])
    ours(lab, "control", name, "destroy")()
    return name


def test_a_boot(hosts: tuple[Xen, Xen], lab: Lab, guest: str, request: pytest.FixtureRequest) -> None:
    """As who owns it boots it, on the one host that sees its disk; till it has booted.

    What we add is the same for all guests, so it shows most where nothing but a shell boots.
    """
    what = f"create on Xen, of {request.node.callspec.params['guest']}"
    meter = Meter(hosts[0])

    def ratio() -> float:
        mine = meter.cost(ours(lab, "control", guest, "create"))
        hosts[0].sh(f"cp /var/lib/invirt/domains/d_{guest} {FILE}")
        ours(lab, "control", guest, "destroy")()
        bare = meter.cost(lambda: hosts[0].sh(f"xl create -q {FILE}"))
        hosts[0].sh(f"xl destroy d_{guest}")
        return shown(what, mine, bare)

    best(f"{what}, to bare xl", ratio, 1.3)


@pytest.fixture
def trusted(hosts: tuple[Xen, Xen]) -> Iterator[str]:
    """The ssh by which root of one host comes to the other, as xl asks for."""
    for host in hosts:
        host.run("sh", "-c", f"umask 77; cat >{KEY}", input=host.key.read_text())
    yield f"ssh -i {KEY} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    for host in hosts:
        host.sh(f"rm {KEY}")


def test_a_move(san: str, hosts: tuple[Xen, Xen], lab: Lab, machine: Make, trusted: str) -> None:
    """There; and back by xl and its ssh, with what else a person types: for the locks of the disk."""
    name, names = new(lab, machine, san), list(ADDRESSES)
    meter, disk = Meter(*hosts), f"{GROUP}/d_{name}_hda"

    def move(to: str) -> Callable[[], object]:
        return ours(lab, "admin", "machine", "migrate", name, to, "--within", f"{LONG:.0f}")

    def bare(source: Xen, target: Xen, address: str) -> None:
        for host in (source, target):  # who has it lets the other have it, too
            host.sh(f"lvchange -q -asy {disk}")
        source.sh(f"xl migrate -s '{trusted}' d_{name} {address}", timeout=LONG)
        source.sh(f"lvchange -q -an {disk}")
        target.sh(f"lvchange -q -aey {disk}")

    def ratio() -> float:
        ours(lab, "control", name, "create")()
        here = names.index(str(console.host_of(name)))
        home, away = hosts[here], hosts[1 - here]
        for to in (names[1 - here], names[here]):  # so that all is warm on both
            move(to)()
        mine = meter.cost(move(names[1 - here]))
        for host in hosts:  # it would look again and again for a guest that the database has elsewhere
            host.sh("systemctl stop conserver-server")
        took = meter.cost(lambda: bare(away, home, ADDRESSES[names[here]]))
        home.sh(f"xl destroy d_{name}; lvchange -q -an {disk}")
        for host in hosts:
            host.sh("systemctl start conserver-server")
        return shown("migrate on Xen", mine, took)

    best("migrate on Xen, to bare xl", ratio, 1.2)
