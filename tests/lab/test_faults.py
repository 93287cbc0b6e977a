"""Each part gone in each way: doors close, guests don't notice, and service is back by itself.

Back means within SOON seconds after the part is, for whoever asks then, and
without a person.  What an operation that was cut off has left is undone by
the timer, which takes a few turns.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from invirt.base.errors import CommandFailed
from invirt_lab import cluster, console, roles
from invirt_lab.site import HOSTS, SERVERS
from tests.lab.users import Done, Lab, eventually

Make = Callable[..., str]
UNREACHABLE, REFUSED = 7, 255
SOON = 5.0  # seconds
TURNS = 60.0  # seconds in which the timer has had its turns
REMOTES = [SERVERS[name].fqdn for name in ("remote", "remote2")]


@pytest.fixture(scope="module")
def guest(lab: Lab) -> Iterator[str]:
    """A machine of alice's that runs all the while."""
    lab.remctl("alice", "machine", "create", "witness", "--memory", "128", "--disk", "1")
    lab.remctl("alice", "control", "witness", "create")
    console.wait_for_prompt("witness")
    yield "witness"
    lab.remctl("alice", "control", "witness", "destroy")
    lab.remctl("alice", "machine", "delete", "witness", "--yes")


@pytest.fixture(autouse=True)
def unnoticed(lab: Lab, guest: str) -> Iterator[None]:
    """The guest's process is the same after each test, and nothing is left open."""
    host = console.host_of(guest)
    assert host
    unit = ("systemctl", "show", "--property=MainPID,NRestarts", f"invirt-guest@d_{guest}.service")
    before = lab.on(host, *unit).stdout
    yield
    assert lab.on(host, *unit).stdout == before
    eventually(lambda: not open_operations(lab), "all operations to be finished", TURNS)


def open_operations(lab: Lab) -> str:
    return lab.sql("SELECT * FROM operations WHERE state IN ('running', 'undoing', 'stuck')").strip()


def closed(lab: Lab, guest: str) -> None:
    """Neither the owner nor a stranger gets in, and both are told in words."""
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(lab.try_remctl, user, "control", guest, "status") for user in ("alice", "bob")]
        for done in (call.result() for call in asked):
            assert done.returncode != 0, done.stdout
            assert not done.stdout
            assert done.stderr.strip()
            assert "Traceback" not in done.stderr


def back(lab: Lab, guest: str, soon: float = SOON) -> None:
    """The owner gets in again, soon; the stranger doesn't."""
    began = time.monotonic()
    eventually(lambda: "running" in lab.try_remctl("alice", "control", guest, "status").stdout, "service")
    took = time.monotonic() - began
    assert took < soon, f"back only after {took:.1f} s"
    assert lab.try_remctl("bob", "control", guest, "status").returncode == REFUSED


def test_database_stopped(lab: Lab, guest: str) -> None:
    lab.on("db", "systemctl", "stop", "postgresql")
    closed(lab, guest)
    lab.on("db", "systemctl", "start", "postgresql")
    back(lab, guest)


def test_database_restarted(lab: Lab, guest: str) -> None:
    for _ in range(3):
        lab.on("db", "systemctl", "restart", "postgresql")
        back(lab, guest)


def test_database_frozen(lab: Lab, guest: str) -> None:
    freeze = ("systemctl", "kill", "postgresql@*")
    lab.on("db", *freeze, "--signal=STOP")
    try:
        began = time.monotonic()
        closed(lab, guest)
        assert time.monotonic() - began < 40
    finally:
        lab.on("db", *freeze, "--signal=CONT")
    back(lab, guest)


# The cluster moves to a file system of its own, which can be made full.
SMALL_DISK = """
set -e
systemctl stop postgresql 'postgresql@*.service'  # the one, and what it has begun to stop
cp -a /var/lib/postgresql /var/tmp/postgresql
mount -t tmpfs -o size=1g tmpfs /var/lib/postgresql
cp -a /var/tmp/postgresql/. /var/lib/postgresql/
chown postgres: /var/lib/postgresql
rm -r /var/tmp/postgresql
systemctl start postgresql
"""
FULL = 'mount -o remount,size="$(df --output=used -k /var/lib/postgresql | tail -1)k" /var/lib/postgresql'
FREE = "mount -o remount,size=1g /var/lib/postgresql"
# Until the last page of the table is full, and there is no room for another.
WRITE = """
DO $$ BEGIN LOOP
    INSERT INTO audit (principal, command, outcome) VALUES ('x', 'x', 'x');
    COMMIT;
END LOOP; END $$;
"""


def test_database_disk_full(lab: Lab, guest: str, machine: Make) -> None:
    lab.on("db", "sh", "-c", SMALL_DISK)
    back(lab, guest)
    lab.on("db", "sh", "-c", FULL)
    try:
        with pytest.raises(CommandFailed, match="No space left on device"):
            lab.sql(WRITE)
        assert "running" in lab.try_remctl("alice", "control", guest, "status").stdout
        for words in (("machine", "create", "full"), ("machine", "allow", guest, "bob")):
            done = lab.try_remctl("alice", *words)
            assert done.returncode == UNREACHABLE, done
            assert "the database" in done.stderr
        assert lab.try_remctl("bob", "control", guest, "status").returncode != 0
    finally:
        lab.on("db", "sh", "-c", FREE)
    back(lab, guest)
    assert lab.sql("SELECT name FROM machines WHERE name = 'full'") == ""
    assert lab.remctl("alice", "control", machine(), "status")


def test_remconffs_gives_errors(lab: Lab, guest: str) -> None:
    """EIO in open(): the database answers others, but not for the lists."""
    lab.sql("REVOKE SELECT ON counters FROM invirt_remote")
    try:
        closed(lab, guest)
        assert guest in lab.remctl("alice", "machine", "list")
    finally:
        lab.sql("GRANT SELECT ON counters TO invirt_remote")
    back(lab, guest)


@pytest.mark.parametrize(
    "fault",
    [
        ("systemctl", "kill", "--signal=KILL", "invirt-remconffs"),
        ("umount", "--lazy", "/etc/remctl/remconffs"),
        ("systemctl", "stop", "invirt-remconffs"),
    ],
    ids=["killed", "unmounted", "stopped"],
)
def test_remconffs_gone(lab: Lab, guest: str, fault: tuple[str, ...]) -> None:
    lab.on("remote", *fault)
    assert lab.try_remctl("bob", "control", guest, "status").returncode != 0
    if "stop" in fault:
        lab.on("remote", "systemctl", "start", "invirt-remconffs")
    back(lab, guest)


def test_remctld_of_remote_gone(lab: Lab, guest: str) -> None:
    lab.on("remote", "systemctl", "stop", "invirt-remctld.socket")
    closed(lab, guest)
    lab.on("remote", "systemctl", "start", "invirt-remctld.socket")
    back(lab, guest)


def test_kdc_gone(lab: Lab, guest: str) -> None:
    """Who has tickets goes on, servers among them; nobody gets new ones until it is back."""
    assert "running" in lab.remctl("alice", "control", guest, "status")
    lab.on("kdc", "systemctl", "stop", "krb5-kdc")
    try:
        assert "running" in lab.remctl("alice", "control", guest, "status")
        cluster.as_user("bob", "kdestroy", check=False)
        assert lab.try_remctl("bob", "control", guest, "status").returncode != 0
    finally:
        lab.on("kdc", "systemctl", "start", "krb5-kdc")
    eventually(lambda: cluster.as_user("bob", "klist", "-s", check=False).returncode == 0, "tickets")
    back(lab, guest)


@pytest.fixture
def impatient(lab: Lab) -> Iterator[None]:
    """remote waits for hosts a few seconds only."""
    edit = "sed -i '/^remote:/a\\  host_timeout: 3\\n  work_timeout: 5' /etc/invirt/invirt.yaml"
    lab.on("remote", "sh", "-c", f"cp /etc/invirt/invirt.yaml /var/tmp/invirt.yaml && {edit}")
    yield
    lab.on("remote", "mv", "/var/tmp/invirt.yaml", "/etc/invirt/invirt.yaml")


@contextlib.contextmanager
def no_remctld(lab: Lab, host: str) -> Iterator[None]:
    """A host that takes no connections."""
    lab.on(host, "systemctl", "stop", "invirt-host-remctld.socket")
    try:
        yield
    finally:
        lab.on(host, "systemctl", "start", "invirt-host-remctld.socket")


@pytest.mark.parametrize("cut", [True, False], ids=["cut off", "no remctld"])
@pytest.mark.usefixtures("impatient")
def test_host_gone_before(lab: Lab, machine: Make, cut: bool, guest: str) -> None:
    """The other one is taken; and both are good again as soon as it is back."""
    other = next(name for name in HOSTS if name != console.host_of(guest))
    name = machine()
    with cluster.cut_off(other) if cut else no_remctld(lab, other):
        lab.remctl("alice", "control", name, "create")
        assert name in lab.domains()[console.host_of(guest) or ""]
    lab.remctl("alice", "control", name, "destroy")
    back(lab, guest)


@pytest.mark.usefixtures("impatient")
def test_host_gone_during(lab: Lab, machine: Make, guest: str) -> None:
    """Cut off amid a boot: the user is told, and when the host is back nothing of it is left."""
    other = next(name for name in HOSTS if name != console.host_of(guest))
    name = machine()
    with ThreadPoolExecutor() as pool:
        call = pool.submit(lab.try_remctl, "alice", "control", name, "create")
        begun = f"SELECT 1 FROM operations WHERE machine_name = '{name}' AND kind = 'boot'"
        eventually(lambda: lab.sql(begun), "the boot to begin")
        with cluster.cut_off(other):
            done: Done = call.result()
        assert done.returncode in (0, UNREACHABLE), done
    eventually(lambda: not open_operations(lab), "it to be undone", TURNS)
    expected = [] if done.returncode else [name]
    assert [found for names in lab.domains().values() for found in names if found == name] == expected
    state = lab.remctl("alice", "control", name, "status")
    assert ("running" in state) == bool(expected)
    if not expected:
        lab.remctl("alice", "control", name, "create")
    lab.remctl("alice", "control", name, "destroy")


@pytest.mark.usefixtures("impatient")
def test_host_gone_after(lab: Lab, machine: Make, guest: str) -> None:
    """Its guests are told to be unknown, not off; nobody boots them a second time."""
    name = machine()
    lab.remctl("alice", "control", name, "create")
    home = console.host_of(name)
    assert home
    with cluster.cut_off(home):
        assert f"{name} is unknown" in lab.remctl("alice", "control", name, "status")
        assert lab.try_remctl("alice", "control", name, "create").returncode == UNREACHABLE
    back(lab, guest)
    assert "running" in lab.remctl("alice", "control", name, "status")
    lab.remctl("alice", "control", name, "destroy")


def test_the_requester_is_killed(lab: Lab, machine: Make) -> None:
    """The program that works on an operation dies; the timer goes on with it."""
    name = machine()
    with ThreadPoolExecutor() as pool:
        call = pool.submit(lab.try_remctl, "alice", "control", name, "create")
        eventually(lambda: open_operations(lab), "the operation to begin")
        lab.on("remote", "systemctl", "kill", "--signal=KILL", "invirt-remctld@*", check=False)
        assert call.result().returncode != 0
    eventually(lambda: not open_operations(lab), "it to be finished", TURNS)
    running = name in [found for names in lab.domains().values() for found in names]
    assert ("running" in lab.remctl("alice", "control", name, "status")) == running


@pytest.fixture(scope="module")
def second(lab: Lab) -> str:
    """The second remote server, with its role; it stays."""
    roles.install_spare("remote2")
    return REMOTES[1]


def test_two_remote_servers_on_one_database(lab: Lab, second: str) -> None:
    """Side by side they do no harm: what one does the other sees at once, and only one boots a machine."""

    def call(remote: str, *words: str, user: str = "alice") -> Done:
        return cluster.as_user(user, "remctl", remote, *words, timeout=120, check=False)

    names = ["castor", "pollux"]
    create = ("--memory", "128", "--disk", "1")
    with ThreadPoolExecutor() as pool:
        made = [pool.submit(call, remote, "machine", "create", name, *create)
                for remote, name in zip(REMOTES, names, strict=True)]  # fmt: skip
        assert [one.result().returncode for one in made] == [0, 0]
        boots = [pool.submit(call, remote, "control", "castor", "create") for remote in REMOTES]
        assert sorted(one.result().returncode for one in boots) == [0, 5]
    for remote in REMOTES:
        assert "castor is running" in call(remote, "control", "castor", "status").stdout
        assert call(remote, "control", "pollux", "status", user="bob").returncode == REFUSED
    assert call(second, "machine", "allow", "pollux", "bob").returncode == 0
    for remote in REMOTES:
        assert "pollux is off" in call(remote, "control", "pollux", "status", user="bob").stdout
    assert call(second, "control", "castor", "destroy").returncode == 0
    with ThreadPoolExecutor() as pool:
        gone = [pool.submit(call, remote, "machine", "delete", name, "--yes")
                for remote, name in zip(reversed(REMOTES), names, strict=True)]  # fmt: skip
        assert [one.result().returncode for one in gone] == [0, 0]
