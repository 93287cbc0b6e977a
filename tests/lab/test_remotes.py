"""Requesters and remote servers that die or freeze amid an operation, two of them at work, and no others."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pexpect
import pytest

from invirt_lab import cluster, roles
from invirt_lab.site import SERVERS
from tests.lab.faults import (
    BOOT,
    REFUSED,
    Make,
    finished,
    guest,
    held,
    open_operations,
    places,
    unnoticed,
)
from tests.lab.test_client import typed
from tests.lab.users import Done, Lab, eventually
from tests.results import longest

__all__ = ["guest", "unnoticed"]  # fixtures
REMOTES = [SERVERS[name].fqdn for name in ("remote", "remote2")]


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
@pytest.mark.nightly
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
