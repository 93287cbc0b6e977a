"""Each part gone in each way: doors close, guests don't notice, and service is back by itself.

Back means within SOON seconds after the part is, for whoever asks then, and
without a person; what was cut off is done or undone within SOON seconds too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from invirt.base.errors import CommandFailed
from invirt_lab import cluster
from tests.lab.faults import (
    UNREACHABLE,
    Make,
    back,
    closed,
    guest,
    held,
    killed,
    open_operations,
    taken_up,
    unnoticed,
)
from tests.lab.users import Lab, eventually

__all__ = ["guest", "unnoticed"]  # fixtures


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


PSQL = "runuser -u postgres -- psql -Xq"  # $0 of what follows
# The cluster moves to a file system of its own, which can be made full; and back.
SMALL_DISK = """
set -e
systemctl stop postgresql 'postgresql@*.service'  # the one, and what it has begun to stop
mv /var/lib/postgresql /var/lib/postgresql.large
mkdir /var/lib/postgresql
mount -t tmpfs -o size=1g tmpfs /var/lib/postgresql
cp -a /var/lib/postgresql.large/. /var/lib/postgresql/
systemctl start postgresql
$0 -c "ALTER SYSTEM SET autovacuum = off" -c "SELECT pg_reload_conf()"  # which would make room in full tables
"""
LARGE_DISK = """
set -e
$0 -c "ALTER SYSTEM RESET autovacuum"
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
NEW_JOURNAL = '$0 -c "SELECT pg_switch_wal()" -c CHECKPOINT'
# Until the last page of the table is full, or that of its index where the machine's name goes, and there is
# no room for another.
WRITE = """
DO $$ BEGIN LOOP
    INSERT INTO audit (principal, command, machine_name, outcome) VALUES ('x', 'x', '{name}', 'x');
    COMMIT;
END LOOP; END $$;
"""
#: What psql says of it; of a write that a trigger made, only the hint is among the last lines.
NO_SPACE = "No space left on device|Check free disk space"
# Until the journal has no room, while the tables need none.
WRITE_JOURNAL = (
    "DO $$ BEGIN LOOP PERFORM pg_logical_emit_message(false, '', repeat('x', 1000000)); END LOOP; END $$"
)


@pytest.fixture(scope="module")
def small_disk(lab: Lab, guest: str) -> Iterator[None]:
    """A disk of the database's own."""
    lab.on("db", "sh", "-c", SMALL_DISK, PSQL)
    try:
        back(lab, guest)
        yield
    finally:
        lab.on("db", "sh", "-c", LARGE_DISK, PSQL)
    back(lab, guest)


@pytest.fixture
def full_disk(lab: Lab, guest: str, small_disk: None, machine: Make) -> Iterator[None]:
    """The disk is full; and when it isn't any more all is as it was."""
    before = lab.world()
    lab.on("db", "sh", "-c", NEW_JOURNAL, PSQL)
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
    for name in ("full", guest):
        with pytest.raises(CommandFailed, match=NO_SPACE):
            lab.sql(WRITE.format(name=name))
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
