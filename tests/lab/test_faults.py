"""Each part gone in each way: doors close, guests don't notice, and service is back by itself.

Back means within SOON seconds after the part is, for whoever asks then, and
without a person; what was cut off is done or undone within SOON seconds too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pexpect
import pytest

from invirt.base.errors import CommandFailed
from invirt_lab import cluster, roles
from invirt_lab.site import SERVERS
from tests.lab.faults import (
    BOOT,
    REFUSED,
    UNREACHABLE,
    Make,
    back,
    closed,
    finished,
    guest,
    held,
    killed,
    open_operations,
    places,
    taken_up,
    unnoticed,
)
from tests.lab.test_client import typed
from tests.lab.users import Done, Lab, eventually
from tests.results import longest

__all__ = ["guest", "unnoticed"]  # fixtures
REMOTES = [SERVERS[name].fqdn for name in ("remote", "remote2")]


@pytest.mark.parametrize("server", ["db", "kdc", "remote"])
def test_server_killed(lab: Lab, guest: str, server: str) -> None:
    """As by a power cut; it boots, and nobody has to start anything there.

    Comes before the database's disk is one that wouldn't outlive it.
    """
    with killed(server):
        if server != "kdc":  # whose absence only those notice who need tickets
            closed(lab, guest)
    back(lab, guest)


def test_database_stopped(lab: Lab, guest: str) -> None:
    before = lab.world()
    lab.on("db", "systemctl", "stop", "postgresql")
    try:
        closed(lab, guest)
        for words in (("machine", "list"), ("machine", "create", "late"), ("control", guest, "destroy")):
            done = lab.try_remctl("alice", *words)
            assert done.returncode == UNREACHABLE, done
            assert "the database" in done.stderr
    finally:
        lab.on("db", "systemctl", "start", "postgresql")
    back(lab, guest)
    assert lab.world() == before


def test_database_restarted(lab: Lab, guest: str) -> None:
    for _ in range(3):
        lab.on("db", "systemctl", "restart", "postgresql")
        back(lab, guest)


def test_database_stopped_amid_an_operation(lab: Lab, guest: str, machine: Make) -> None:
    """Who asked is told; what was done is gone on with when the database is back."""
    name = machine()
    with ThreadPoolExecutor() as pool:
        try:
            with held(name):
                call = pool.submit(lab.try_remctl, "alice", "control", name, "create")
                eventually(lambda: open_operations(lab), "the boot to begin")
                lab.on("db", "systemctl", "stop", "postgresql")
            assert call.result().returncode != 0
        finally:
            lab.on("db", "systemctl", "start", "postgresql")
    back(lab, guest)
    taken_up(lab, name)


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


# The cluster moves to a file system of its own, which can be made full; and back.
SMALL_DISK = """
set -e
systemctl stop postgresql 'postgresql@*.service'  # the one, and what it has begun to stop
mv /var/lib/postgresql /var/lib/postgresql.large
mkdir /var/lib/postgresql
mount -t tmpfs -o size=1g tmpfs /var/lib/postgresql
cp -a /var/lib/postgresql.large/. /var/lib/postgresql/
systemctl start postgresql
"""
LARGE_DISK = """
set -e
systemctl stop postgresql 'postgresql@*.service'
cp -a /var/lib/postgresql /var/lib/postgresql.small
umount /var/lib/postgresql
rmdir /var/lib/postgresql
mv /var/lib/postgresql.small /var/lib/postgresql
rm -r /var/lib/postgresql.large
systemctl start postgresql
"""
FULL = 'mount -o remount,size="$(df --output=used -k /var/lib/postgresql | tail -1)k" /var/lib/postgresql'
FREE = "mount -o remount,size=1g /var/lib/postgresql"
# A new file of the journal (WAL), 16 MiB: what is written next lacks room in the tables alone.
NEW_JOURNAL = "runuser -u postgres -- psql -Xqc 'SELECT pg_switch_wal()' -c CHECKPOINT"
# Until the last page of the table is full, and there is no room for another.
WRITE = """
DO $$ BEGIN LOOP
    INSERT INTO audit (principal, command, outcome) VALUES ('x', 'x', 'x');
    COMMIT;
END LOOP; END $$;
"""
# Until the journal has no room, while the tables need none.
WRITE_JOURNAL = (
    "DO $$ BEGIN LOOP PERFORM pg_logical_emit_message(false, '', repeat('x', 1000000)); END LOOP; END $$"
)


@pytest.fixture(scope="module")
def small_disk(lab: Lab, guest: str) -> Iterator[None]:
    """A disk of the database's own."""
    lab.on("db", "sh", "-c", SMALL_DISK)
    try:
        back(lab, guest)
        yield
    finally:
        lab.on("db", "sh", "-c", LARGE_DISK)
    back(lab, guest)


@pytest.fixture
def full_disk(lab: Lab, guest: str, small_disk: None, machine: Make) -> Iterator[None]:
    """The disk is full; and when it isn't any more all is as it was."""
    before = lab.world()
    lab.on("db", "sh", "-c", NEW_JOURNAL)
    lab.on("db", "sh", "-c", FULL)
    yield
    lab.on("db", "sh", "-c", FREE)
    back(lab, guest)
    assert lab.world() == before
    assert lab.remctl("alice", "control", machine(), "status")


def refused_for_want_of_the_database(lab: Lab, guest: str) -> None:
    for words in (("machine", "create", "full"), ("machine", "allow", guest, "bob")):
        done = lab.try_remctl("alice", *words)
        assert done.returncode == UNREACHABLE, done
        assert "the database" in done.stderr


@pytest.mark.usefixtures("full_disk")
def test_database_disk_full(lab: Lab, guest: str) -> None:
    """Who only asks is answered; nothing is changed."""
    with pytest.raises(CommandFailed, match="No space left on device"):
        lab.sql(WRITE)
    assert "running" in lab.try_remctl("alice", "control", guest, "status").stdout
    refused_for_want_of_the_database(lab, guest)
    assert lab.try_remctl("bob", "control", guest, "status").returncode != 0


@pytest.mark.usefixtures("full_disk")
def test_database_journal_full(lab: Lab, guest: str) -> None:
    """PostgreSQL ends, and can't start before there is room; then it does, by itself."""
    with pytest.raises(CommandFailed, match="terminat"):
        lab.sql(WRITE_JOURNAL)
    eventually(lambda: lab.on("db", "pg_lsclusters", "-h", check=False).stdout.count("down"), "its end")
    closed(lab, guest)
    refused_for_want_of_the_database(lab, guest)


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
    try:
        assert lab.try_remctl("bob", "control", guest, "status").returncode != 0
    finally:
        if "stop" in fault:
            lab.on("remote", "systemctl", "start", "invirt-remconffs")
    back(lab, guest)


def test_remctld_of_remote_gone(lab: Lab, guest: str) -> None:
    lab.on("remote", "systemctl", "stop", "invirt-remctld.socket")
    try:
        closed(lab, guest)
    finally:
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
        lab.on("remote", "find", "/run/invirt", "-name", "krb5cc*", "-delete")
        lab.on("remote", "systemctl", "restart", "invirt-remote-warm.service")  # whose workers had signed on
        closed(lab, guest)
    finally:
        lab.on("kdc", "systemctl", "start", "krb5-kdc")
    eventually(lambda: cluster.as_user("bob", "klist", "-s", check=False).returncode == 0, "tickets")
    back(lab, guest)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("boot", "control OLD create"),
        ("create", "machine create pollux --memory 128 --disk 1"),
        ("rename", "machine rename OLD pollux"),
        ("resize", "machine resize OLD --disk 2"),
        ("delete", "machine delete OLD --yes"),
    ],
)
def test_the_requester_is_killed(lab: Lab, machine: Make, kind: str, words: str) -> None:
    """The program that works on an operation dies amid it; it is gone on with, to its end."""
    name = machine()
    with ThreadPoolExecutor() as pool, held(name, "pollux"):
        call = pool.submit(lab.try_remctl, "alice", *words.replace("OLD", name).split())
        eventually(lambda: open_operations(lab), "the operation to begin")
        lab.on("remote", "systemctl", "kill", "--signal=KILL", "invirt-remctld@*", check=False)
        assert call.result().returncode != 0
    finished(lab, BOOT)
    last = "SELECT kind, state FROM operations ORDER BY operation_id DESC LIMIT 1"
    assert lab.sql(last).strip() == f"{kind}|done"
    assert lab.on("remote", "invirt-reconcile").stdout == "no difference\n"


def test_who_follows_sees_every_step_to_the_end(lab: Lab, machine: Make) -> None:
    """Who began it is gone at once; who follows it comes again when all connections die."""
    name = machine()
    with held(name):
        number = cluster.as_user("alice", "invirt", "start", name, "--no-wait").stdout.strip()
        follower = typed("log", "--follow", number)
        follower.expect(f"booting {name}")
        lab.on("remote", "systemctl", "kill", "--signal=KILL", "invirt-remctld@*")
    follower.expect(f"booting {name} on host[12]: .*done")
    follower.expect(f"boot of {name} .* is .*done")
    follower.expect(pexpect.EOF)
    follower.close()
    assert follower.exitstatus == 0


@pytest.fixture(scope="module")
def second(lab: Lab) -> str:
    """The second remote server, with its role; it stays."""
    roles.install_spare("remote2")
    return REMOTES[1]


@pytest.mark.usefixtures("tidy")
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


@pytest.mark.usefixtures("tidy")
def test_what_a_frozen_remote_server_was_amid_is_taken_over(lab: Lab, machine: Make, second: str) -> None:
    """And once it moves again it does nothing more."""
    name, amid = machine(), ("invirt-remctld@*", "invirt-remote-warm.service", "invirt-operations.service")
    with ThreadPoolExecutor() as pool:
        with held(name):
            call = pool.submit(lab.try_remctl, "alice", "control", name, "create")
            eventually(lambda: open_operations(lab), "the operation to begin")
            lab.on("remote", "systemctl", "kill", "--signal=STOP", *amid)
        try:
            began = time.monotonic()
            eventually(lambda: not open_operations(lab), f"{second} to take it over")
            longest("lab: what a frozen remote server was amid is done", time.monotonic() - began, 30)
            assert len(places(lab, name)) == 1
        finally:
            lab.on("remote", "systemctl", "kill", "--signal=CONT", *amid)
        assert call.result().returncode != 0
    assert len(places(lab, name)) == 1
    assert lab.sql("SELECT kind, state FROM operations ORDER BY operation_id DESC LIMIT 1") == "boot|done\n"


# As whoever has the keytab ($0, in base64), from a remote server, to which alone the port is open.
_ASK = """
folder=$(mktemp -d); export KRB5_CLIENT_KTNAME=$folder/keytab KRB5CCNAME=FILE:$folder/cache
echo "$0" | base64 -d >$folder/keytab; remctl -p 4374 host1.invirt.test domain list; code=$?
rm -r $folder; exit $code
"""


def test_hosts_obey_remote_only(lab: Lab) -> None:
    for keytab in ("/home/alice/.keytab", "/root/.keytab"):
        shown = lab.on("client", "base64", "-w0", keytab).stdout
        done = lab.on("remote", "sh", "-c", _ASK, shown, check=False)
        assert done.returncode == REFUSED, done
        assert "denied" in done.stderr
