"""When something that is asked is gone, nobody is let in, and all are told."""

from __future__ import annotations

import time

from tests.parts.owned import machine
from tests.parts.postgres import Cluster, frozen
from tests.parts.realm import DEADLINE
from tests.parts.remote.conftest import RemoteServer

TOLD = "nobody can"


def refused(remote: RemoteServer) -> None:
    """Alice and a stranger are told the same: that it is closed."""
    for user in ("alice", "bob"):
        answer = remote.call(user, "control", "remus", "status")
        assert answer.status == 7 and TOLD in answer.stderr and not answer.stdout, answer


def back(remote: RemoteServer) -> None:
    """Alice gets in again, within the deadline; nobody does anything for it."""
    limit = time.monotonic() + DEADLINE
    while remote.call("alice", "control", "remus", "status").stdout != "remus is off\n":
        assert time.monotonic() < limit, "the door stays closed"
    assert remote.call("bob", "control", "remus", "status").stderr == "Access denied\n"


def test_unmounted(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    back(remote)
    remote.namespace.run("umount", "--lazy", "/etc/remctl/remconffs")
    refused(remote)
    remote.end()
    remote.mount()
    back(remote)


def test_killed(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    assert remote.remconffs
    remote.remconffs.kill()
    remote.remconffs.wait(DEADLINE)
    refused(remote)
    assert remote.call("alice", "machine", "list").status == 0  # asks the database, not remconffs
    remote.mount()  # over the dead mount
    back(remote)


def test_database_refuses_connections_then_is_back(remote: RemoteServer, cluster: Cluster) -> None:
    machine(remote.database, "remus")
    back(remote)
    name = remote.database.name
    cluster.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    cluster.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    refused(remote)
    listed = remote.call("alice", "machine", "list")
    assert listed.status == 7 and "the database" in listed.stderr and not listed.stdout, listed
    cluster.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    back(remote)


def test_sessions_that_the_database_ended_are_made_anew(remote: RemoteServer, cluster: Cluster) -> None:
    machine(remote.database, "remus")
    back(remote)
    name = remote.database.name
    cluster.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    assert remote.call("alice", "control", "remus", "status").stdout == "remus is off\n"


def test_a_frozen_database_is_given_up_on(remote: RemoteServer, cluster: Cluster) -> None:
    machine(remote.database, "remus")
    back(remote)
    begun = time.monotonic()
    with frozen(cluster):
        refused(remote)
        listed = remote.call("alice", "machine", "list")
        assert listed.status == 7 and "the database" in listed.stderr, listed
    assert time.monotonic() - begun < 2 * DEADLINE
    back(remote)


def test_what_cannot_be_audited_is_refused(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    remote.database.execute("REVOKE INSERT ON audit FROM invirt_remote")
    answer = remote.call("alice", "machine", "allow", "remus", "bob")
    assert answer.status != 0 and not answer.stdout, answer
    assert remote.database.execute("SELECT * FROM machine_access") == []


def test_ended_it_leaves_an_empty_folder(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    remote.end()
    assert remote.remconffs
    assert remote.remconffs.returncode == 0
    assert remote.namespace.run("ls", "-A", "/etc/remctl/remconffs").stdout == ""
    refused(remote)
