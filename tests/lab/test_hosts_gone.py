"""A host gone before, during and after: cut off, without remctld, or killed with its guests.

Back means here that the host takes connections again.  See tests.lab.faults.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from invirt_lab import cluster, console
from invirt_lab.site import HOSTS
from tests.lab.faults import (
    BOOT,
    UNREACHABLE,
    Make,
    back,
    finished,
    guest,
    held,
    killed,
    open_operations,
    places,
    unnoticed,
)
from tests.lab.users import Done, Lab, eventually

__all__ = ["guest", "unnoticed"]  # fixtures
Gone = Callable[[str], contextlib.AbstractContextManager[None]]
GIVEN_BACK = 20.0  # seconds: the timer's turn


@contextlib.contextmanager
def no_remctld(host: str) -> Iterator[None]:
    """A host that takes no connections."""
    cluster.on(host, "systemctl", "stop", "invirt-host-remctld.socket")
    try:
        yield
    finally:
        cluster.on(host, "systemctl", "start", "invirt-host-remctld.socket")


WAYS = {"cut off": cluster.cut_off, "no remctld": no_remctld, "killed": killed}


def ways(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("gone", [WAYS[name] for name in names], ids=names)


@pytest.fixture(scope="module", autouse=True)
def impatient(lab: Lab) -> Iterator[None]:
    """remote waits three seconds to be let in by a host; steps have all the time that they have at home."""
    edit = "sed -i '/^remote:/a\\  host_timeout: 3' /etc/invirt/invirt.yaml"
    lab.on(
        "remote",
        "sh",
        "-c",
        f"cp /etc/invirt/invirt.yaml /var/tmp/invirt.yaml && {edit} && invirt-config apply",
    )
    yield
    lab.on("remote", "mv", "/var/tmp/invirt.yaml", "/etc/invirt/invirt.yaml")
    lab.on("remote", "invirt-config", "apply")


@pytest.fixture
def other(guest: str) -> str:
    """The host that the guest isn't on, where a new machine boots."""
    return next(name for name in HOSTS if name != console.host_of(guest))


@ways("cut off", "no remctld", "killed")
def test_before(lab: Lab, machine: Make, guest: str, other: str, gone: Gone) -> None:
    """The other one is taken; and both are good again as soon as it is back."""
    name = machine()
    with gone(other):
        lab.remctl("alice", "control", name, "create")
        assert name in cluster.on(console.host_of(guest) or "", "xm", "list").stdout
    lab.remctl("alice", "control", name, "destroy")
    back(lab, guest)


@ways("cut off", "killed")
def test_during(lab: Lab, machine: Make, other: str, gone: Gone) -> None:
    """Amid a boot: the user is told, and when the host is back nothing of it is left."""
    name = machine()
    with contextlib.ExitStack() as fault, ThreadPoolExecutor() as pool:
        with held(name):
            call = pool.submit(lab.try_remctl, "alice", "control", name, "create")
            eventually(lambda: open_operations(lab), "the boot to begin")
            fault.enter_context(gone(other))
        done: Done = call.result()
    assert done.returncode == UNREACHABLE, done
    finished(lab)
    assert places(lab, name) == []
    lab.remctl("alice", "control", name, "create")
    lab.remctl("alice", "control", name, "destroy")


def shown(lab: Lab, name: str, state: str) -> None:
    """Its owner comes to be told that the machine is so, as its host told."""
    wanted = f"{name} is {state}"
    eventually(lambda: wanted in lab.try_remctl("alice", "control", name, "status").stdout, wanted)


def test_cut_off_after(lab: Lab, machine: Make, guest: str) -> None:
    """Its guests are told to be unknown, not off; nobody boots them a second time, or switches them off."""
    name = machine()
    lab.remctl("alice", "control", name, "create")
    home = places(lab, name)
    with cluster.cut_off(home[0]):
        shown(lab, name, "unknown, last seen running")
        for verb in ("create", "destroy"):
            done = lab.try_remctl("alice", "control", name, verb)
            assert done.returncode == UNREACHABLE
            assert home[0] in done.stderr
        listed = lab.try_remctl("alice", "machine", "list")
        assert home[0] in listed.stdout + listed.stderr
    back(lab, guest)
    shown(lab, name, "running")
    assert places(lab, name) == home
    lab.remctl("alice", "control", name, "destroy")


def test_killed_after(lab: Lab, machine: Make, guest: str, other: str) -> None:
    """Its guests are unknown until it is back, then booted again; but for one without autostart."""
    name, again = machine("--memory", "96"), machine("--memory", "96")  # both find most room on one host
    lab.remctl("alice", "machine", "set", name, "--autostart", "no")
    for each in (name, again):
        lab.remctl("alice", "control", each, "create")
        assert places(lab, each) == [other]
    reserved = f"SELECT name FROM machines WHERE name = '{name}' AND host_id IS NOT NULL"
    with killed(other):
        shown(lab, name, "unknown, last seen running")
        assert lab.try_remctl("alice", "control", name, "create").returncode == UNREACHABLE
        told = lab.on("remote", "invirt-reconcile", check=False)
        assert (told.returncode, f"host {other} does not answer" in told.stdout) == (1, True)
        assert lab.sql(reserved)
    shown(lab, name, "off")
    eventually(lambda: places(lab, again), f"{again} to be booted again")
    finished(lab, BOOT)
    lab.remctl("alice", "control", again, "destroy")
    eventually(lambda: not lab.sql(reserved), "its memory to be given back", GIVEN_BACK)
    assert lab.on("remote", "invirt-reconcile").stdout == "no difference\n"
    assert not lab.on(other, "ip", "-br", "link", "show", "type", "tun").stdout
    lab.remctl("alice", "control", name, "create")
    assert places(lab, name)
    lab.remctl("alice", "control", name, "destroy")
    back(lab, guest)
