"""A host that is lost: not before it is certain, then its machines boot elsewhere; and when it wakes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest

from invirt_lab import cluster, console
from invirt_lab.site import HOSTS, REALM, SHARED
from tests.lab.faults import Make, guest, places, unnoticed
from tests.lab.test_hosts_gone import no_remctld
from tests.lab.users import Done, Lab, eventually

__all__ = ["guest", "unnoticed"]  # fixtures
FENCE = "/var/tmp/fence"
KILLS = f"touch {FENCE}.asked; while [ ! -e {FENCE}.done ]; do sleep 0.1; done; rm {FENCE}.*"
NO_ROOM, BUSY = 6, 5
Lose = Callable[..., Done]
MARK = 8  # the sector of the disk that guests write to


@pytest.fixture(scope="module")
def site(lab: Lab) -> Iterator[None]:
    """Bob is an administrator of the site, and it has a fence."""
    lines = f"  fence: {FENCE}\\n  fence_timeout: 8"
    edit = f"sed -i '/^remote:/a\\{lines}' /etc/invirt/invirt.yaml"
    keep = "cp /etc/invirt/invirt.yaml /var/tmp/invirt.yaml"
    lab.on("remote", "sh", "-c", f"{keep} && {edit} && invirt-config apply")
    lab.admin("administrator", "add", f"bob@{REALM}")
    yield
    lab.admin("administrator", "remove", f"bob@{REALM}")
    lab.on("remote", "mv", "/var/tmp/invirt.yaml", "/etc/invirt/invirt.yaml")
    lab.on("remote", "invirt-config", "apply")


@pytest.fixture
def home(site: None, guest: str) -> str:
    """The host that stays."""
    return str(console.host_of(guest))


@pytest.fixture
def other(home: str) -> str:
    """The host that is lost."""
    return next(name for name in HOSTS if name != home)


@pytest.fixture
def lose(lab: Lab, other: str) -> Lose:
    """Declares it lost, with this script as the fence."""

    def call(script: str = "", *words: str) -> Done:
        lab.on("remote", "sh", "-c", f"cat >{FENCE}; chmod 755 {FENCE}", input=f"#!/bin/sh\n{script}\n")
        return lab.try_remctl("bob", "admin", "host", "lost", other, *words)

    return call


def run(lab: Lab, name: str, there: str) -> str:
    """Boot it, where there is most room."""
    lab.remctl("alice", "control", name, "create")
    assert places(lab, name) == [there]
    return name


def there(host: str) -> str:
    return cluster.on(host, "xm", "list").stdout


def on_disk(lab: Lab, host: str, name: str) -> str:
    """What the guest has written, as the storage has it."""
    read = f"dd if={SHARED}/volumes/d_{name}_hda bs=512 skip={MARK} count=1 status=none | tr -d '\\0'"
    return lab.on(host, "sh", "-c", read).stdout.strip()


def write(name: str, word: str) -> None:
    """The guest itself writes to its disk."""
    console.ask(name, f"echo {word} | dd of=/dev/vda bs=512 seek={MARK} conv=notrunc; sync")


def rejoins(lab: Lab, host: str) -> None:
    """As soon as it tells that it lives."""
    again = ("admin", "host", "rejoin", host)
    eventually(lambda: lab.try_remctl("bob", *again).returncode == 0, f"{host} to rejoin")


@contextlib.contextmanager
def power_switch(lab: Lab, host: str) -> Iterator[None]:
    """What the killing fence asks for is done: the host has no power any more, and has it again after."""

    killed = threading.Event()

    def serve() -> None:
        asked = f"timeout 60 sh -c 'while [ ! -e {FENCE}.asked ]; do sleep 0.1; done'"
        lab.on("remote", "sh", "-c", asked)
        cluster.kill(host)
        killed.set()
        lab.on("remote", "touch", f"{FENCE}.done")

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        yield
    finally:
        serving.join(timeout=90)
        if killed.is_set():
            cluster.boot(host)
            cluster.wait_booted(host)


def test_what_may_live_is_not_lost(lab: Lab, machine: Make, other: str, lose: Lose) -> None:
    """It answers; or it is cut off from remote, and its fence says no, nothing, or what isn't true."""
    name = run(lab, machine("--memory", "96"), other)
    for words in ((), ("--confirm", "power-off")):
        refused = lose("exit 0", *words)
        assert (refused.returncode, "answers: it is not lost" in refused.stderr) == (BUSY, True), refused
    with no_remctld(other):
        for script, said in (
            ("echo no such outlet >&2; exit 1", "could not switch host"),
            ("exec sleep 60", "no end within 8 seconds"),
            ("exit 0", "gave a sign of life"),
        ):
            refused = lose(script)
            assert refused.returncode, refused
            assert said in refused.stderr, refused
    assert not lab.sql("SELECT FROM hosts WHERE lost_at IS NOT NULL").strip()
    assert places(lab, name) == [other]
    lab.remctl("alice", "control", name, "destroy")


@pytest.mark.nightly
def test_its_machines_boot_elsewhere(lab: Lab, machine: Make, home: str, other: str, lose: Lose) -> None:
    """The fence takes its power away.  There is room for one: that of the higher priority comes first."""
    low, high = (run(lab, machine("--memory", "96"), other) for _ in range(2))
    lab.remctl("bob", "admin", "machine", "set", high, "--priority", "9")
    write(high, "before")
    memory = lab.sql(f"SELECT memory FROM hosts WHERE name = '{home}'")
    lab.sql(f"UPDATE hosts SET memory = {128 + 96 + 32} WHERE name = '{home}'")
    with power_switch(lab, other):
        lab.on(other, "systemctl", "stop", "invirt-host-remctld.socket")  # it seems to be dead
        done = lose(KILLS)
        assert done.returncode == NO_ROOM, done
        print(done.stdout, done.stderr)
        assert [line.split()[0] for line in done.stdout.splitlines()[-2:]] == [high, low]
        eventually(lambda: high in there(home), f"{high} to run on {home}")
        assert low not in there(home)
        lab.sql(f"UPDATE hosts SET memory = {memory} WHERE name = '{home}'")
        eventually(lambda: low in there(home), f"{low} to run on {home}")
        write(high, "after")
    assert "by the fence" in lab.sql(f"SELECT lost_by FROM hosts WHERE name = '{other}'")
    assert "d_" not in there(other), "it starts nothing"
    assert on_disk(lab, other, high) == "after"
    rejoins(lab, other)
    assert [places(lab, name) for name in (high, low)] == [[home], [home]]
    for name in (low, high):
        lab.remctl("alice", "control", name, "destroy")


@pytest.mark.nightly
def test_it_was_only_cut_off(lab: Lab, machine: Make, home: str, other: str, lose: Lose) -> None:
    """A fence has lied, which nobody could know.  Its guest runs on; when it is back, it is ended there."""
    name = run(lab, machine("--memory", "96"), other)
    write(name, "before")
    with cluster.cut_off(other):
        eventually(lambda: lose("exit 0").returncode == 0, f"{other} to be silent, and lost")
        assert name in there(other)
        eventually(lambda: name not in there(home), "a QEMU to end, for which the disk is in use")
    eventually(lambda: name not in there(other), f"{name} to be ended on {other}")
    assert "ALARM" in lab.on(other, "journalctl", "-u", "invirt-host-observer", "-b", "--no-pager").stdout
    eventually(lambda: "running" in lab.try_remctl("alice", "control", name, "create").stdout, "a boot")
    assert places(lab, name) == [home]
    write(name, "after")
    rejoins(lab, other)
    assert (on_disk(lab, other, name), places(lab, name)) == ("after", [home])
    lab.remctl("alice", "control", name, "destroy")
