"""Users' commands by workers that are ready, with real remctld and database: the same as without."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from invirt.remote.commands.warm import SPARE
from tests.parts.owned import machine
from tests.parts.postgres import Cluster, frozen
from tests.parts.realm import DEADLINE
from tests.parts.remote.conftest import Cloud, RemoteServer

CALLS = [
    ("alice", "control", "remus", "status"),
    ("bob", "machine", "show", "remus"),
    ("alice", "machine", "show", "remus"),
    ("bob", "machine", "list"),
    ("alice", "machine", "allow", "remus", "carol"),
    ("alice", "machine", "nonsense"),
    ("alice", "machine", "show", "remus", "--json"),
    ("alice", "machine", "help", "show"),
    ("alice", "admin", "host", "list"),
    ("alice", "machine", "show", "r\u00e4mus"),
    ("alice", "machine", "disallow", "remus", "carol"),
]
AUDIT = (
    "SELECT principal, via, command, arguments, machine_name, outcome, message FROM audit ORDER BY audit_id"
)


def test_all_is_as_without_workers(remote: RemoteServer) -> None:
    """Answers, exit codes and audit; each time by another worker."""
    machine(remote.database, "remus")
    without = [remote.call(*words) for words in CALLS]
    audited = remote.database.execute(AUDIT)
    remote.database.execute("TRUNCATE audit")
    with remote.warm():
        for words, answer in zip(CALLS, without, strict=True):
            before = remote.wait_for_workers()
            assert remote.call(*words) == answer
            gone = before - remote.wait_for_workers()
            assert len(gone) == 1, (words, remote.namespace.log())
        assert remote.database.execute(AUDIT) == audited


def test_many_calls_at_once_each_have_their_own_answer(remote: RemoteServer) -> None:
    """More than there are workers."""
    machine(remote.database, "remus")
    for user in ("alice", "bob"):
        remote.call(user, "machine", "list")
    with remote.warm(), ThreadPoolExecutor(8) as pool:
        users = ["alice", "bob"] * 12
        answers = list(pool.map(lambda user: remote.call(user, "control", "remus", "status"), users))
    assert {answer.stdout for answer in answers[::2]} == {"remus is off\n"}
    assert not any(answer.stdout for answer in answers[1::2])


def test_a_restarted_database_is_signed_on_to_anew(remote: RemoteServer) -> None:
    """No call fails for a session that is no more."""
    machine(remote.database, "remus")
    with remote.warm():
        for _ in range(3):
            before = remote.wait_for_workers()
            remote.database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'invirt-remote' AND query = 'ROLLBACK'",
                user="postgres",
            )
            assert remote.call("alice", "control", "remus", "status").stdout == "remus is off\n"
            assert not before & remote.wait_for_workers()


def test_a_frozen_database_is_told_as_without_workers(remote: RemoteServer, cluster: Cluster) -> None:
    machine(remote.database, "remus")
    with remote.warm():
        with frozen(cluster):
            answer = remote.call("alice", "machine", "list")
        assert answer.status == 7 and "the database" in answer.stderr
        assert remote.call("alice", "control", "remus", "status").stdout == "remus is off\n"


def test_a_whole_life(cloud: Cloud) -> None:
    """Operations, too: their requester is the worker."""
    with cloud.remote.warm():
        for words in ("machine create romulus --memory 64M --disk 1G", "control romulus create"):
            assert cloud.call("alice", *words.split()).status == 0
        assert cloud.call("alice", "control", "romulus", "status").stdout.startswith("romulus is running on")
        assert cloud.call("alice", "control", "romulus", "destroy").stdout == "romulus is off\n"


def test_a_connection_that_ends_takes_its_worker_with_it(remote: RemoteServer) -> None:
    """As the end of its unit does."""
    machine(remote.database, "remus")
    with remote.warm() as service, remote.database.connect() as locking, ThreadPoolExecutor(1) as pool:
        children = Path(f"/proc/{service.pid}/task/{service.pid}/children")

        def workers(number: int) -> None:
            limit = time.monotonic() + DEADLINE
            while len(children.read_text().split()) != number:
                assert time.monotonic() < limit
                time.sleep(0.02)

        locking.autocommit = False
        locking.cursor().execute("LOCK TABLE machines IN ACCESS EXCLUSIVE MODE")
        calling = pool.submit(remote.call, "alice", "machine", "show", "remus")
        workers(SPARE + 1)
        remote.remctld.stop()
        workers(SPARE)
        assert calling.result().status == 1
