"""remote's remctl to real remctlds: answers, failures, and who doesn't answer."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from invirt.base.errors import Busy, CommandFailed, Denied, InvirtError, Unreachable
from invirt.remote.hosts import PORTS, NoAnswer, RemctlHosts, Unknown, answered, failure
from invirt.remote.lines import KEPT, PATIENCE, Answer
from tests.parts.realm import DEADLINE, Realm, Remctlds, loopback

HOST = "host1.invirt.test"
OTHER = "host2.invirt.test"

PROGRAM = """#!/bin/sh
case $1 in
status) echo '{"state": "off"}' ;;
caller) echo $PPID ;;
create) echo "invirt-host-domain: too late" >&2; echo "  Ask again." >&2; exit 5 ;;
odd) exit 77 ;;
slow) sleep 30 ;;
esac
"""


@pytest.fixture
def hosts(
    realm: Realm, remctlds: Remctlds, tmp_path: Path, invirt_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> RemctlHosts:
    """One host, which obeys remote; this process is remote."""
    program = tmp_path / "domain"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    conf = tmp_path / "conf"
    conf.write_text(
        f"domain ALL {program} princ:host/remote.invirt.test@INVIRT.TEST\n"
        f"forbidden ALL {program} princ:nobody@INVIRT.TEST\n"
    )
    server = remctlds.start(HOST, conf, port=PORTS[0])
    (tmp_path / "log").symlink_to(server.log)
    for name, value in realm.as_user("host/remote.invirt.test").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KRB5_CLIENT_KTNAME", "/nonexistent")
    return RemctlHosts({HOST: server.address})


def ask(hosts: RemctlHosts, *words: str, timeout: float = 10) -> Answer:
    """call() in a child process: it would keep the fixture's thread from accepting."""
    return hosts.ask([HOST], *words, timeout=timeout)[HOST]


def test_an_answer(hosts: RemctlHosts) -> None:
    assert ask(hosts, "domain", "status", "remus") == '{"state": "off"}\n'


def test_a_command_goes_by_the_line_of_the_question(
    hosts: RemctlHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PPID is that of remctld, which systemd and this fixture start anew for each connection."""
    asked = ask(hosts, "domain", "caller")
    assert hosts.call(HOST, "domain", "caller", timeout=10) == asked
    assert ask(hosts, "domain", "caller") != asked
    with pytest.raises(Busy, match="too late"):
        hosts.call(HOST, "domain", "create", timeout=10)


def test_a_line_is_none_of_a_process_that_comes_of_its_own(hosts: RemctlHosts) -> None:
    """As those are that invirt-operations makes after it has asked the hosts."""
    asked = ask(hosts, "domain", "caller")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(InvirtError), os.fdopen(write, "w") as file:
            file.write(hosts.call(HOST, "domain", "caller", timeout=10))
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        assert file.read() not in ("", asked)
    os.waitpid(child, 0)
    assert hosts.call(HOST, "domain", "caller", timeout=10) == asked


@pytest.mark.parametrize("how", ["a command", "no more", "another question", "nobody says anything"])
def test_a_host_is_taken_leave_of(hosts: RemctlHosts, tmp_path: Path, how: str) -> None:
    """Each connection that is cut off is an error in its log, where an administrator looks for real ones."""
    assert ask(hosts, "domain", "status") == '{"state": "off"}\n'
    line = hosts.lines[HOST]
    if how == "a command":
        hosts.call(HOST, "domain", "status", timeout=10)
    elif how == "another question":
        ask(hosts, "domain", "status")
    elif how == "nobody says anything":
        ended = os.pidfd_open(line.child)
        assert select.select([ended], [], [], DEADLINE)[0]
        os.close(ended)
    hosts.hang_up()
    with pytest.raises(ChildProcessError):
        os.waitpid(line.child, 0)
    time.sleep(0.2)
    assert "error" not in (tmp_path / "log").read_text()


def test_what_became_of_a_line_that_broke_nobody_knows(hosts: RemctlHosts) -> None:
    remctld = ask(hosts, "domain", "caller")
    assert isinstance(remctld, str)
    os.kill(int(remctld), signal.SIGKILL)
    with pytest.raises(NoAnswer, match="no answer from"):
        hosts.call(HOST, "domain", "status", timeout=10)


@pytest.mark.parametrize("why", ["late", "ended"])
def test_a_line_that_is_no_more_is_not_used(hosts: RemctlHosts, why: str) -> None:
    ask(hosts, "domain", "status")
    line = hosts.lines[HOST]
    if why == "late":
        line.until -= KEPT
    else:
        os.kill(line.child, signal.SIGKILL)
    hosts.addresses = {HOST: loopback()}  # where nobody is
    with pytest.raises(Unreachable) as refused:
        hosts.call(HOST, "domain", "status", timeout=5)
    assert isinstance(refused.value, NoAnswer) == (why == "ended")
    with pytest.raises(ChildProcessError):
        os.waitpid(line.child, 0)


def test_a_failure_comes_back_as_what_it_was(hosts: RemctlHosts) -> None:
    error = ask(hosts, "domain", "create", "remus", "1")
    assert isinstance(error, Busy)
    assert (error.message, error.hint) == (f"{HOST}: too late", f"{HOST}: Ask again.")
    assert type(ask(hosts, "domain", "odd")) is CommandFailed


def test_a_host_of_the_version_before_listens_at_the_users_port(
    hosts: RemctlHosts, remctlds: Remctlds, tmp_path: Path
) -> None:
    old = remctlds.start(HOST, tmp_path / "conf", port=PORTS[1])
    before = RemctlHosts({HOST: old.address})
    assert ask(before, "domain", "status", "remus") == '{"state": "off"}\n'


def test_a_refusal(hosts: RemctlHosts) -> None:
    assert isinstance(ask(hosts, "forbidden", "status"), Denied)


def test_a_command_that_a_host_does_not_know_yet_is_no_refusal(hosts: RemctlHosts) -> None:
    """remote has it do the same in the way of the version before."""
    assert isinstance(ask(hosts, "job", "begin", "7", "domain", "create", "remus", "7"), Unknown)
    assert not isinstance(ask(hosts, "forbidden", "status"), Unknown)


def test_no_answer_is_not_unreachable(hosts: RemctlHosts) -> None:
    slow = ask(hosts, "domain", "slow", timeout=2)
    assert isinstance(slow, Unreachable)
    with pytest.raises(Unreachable, match="doesn't answer") as refused:
        RemctlHosts({HOST: loopback()}).call(HOST, "domain", "status", timeout=2)
    assert not isinstance(refused.value, NoAnswer)


def test_a_command_that_takes_too_long_may_have_been_done(hosts: RemctlHosts) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            hosts.call(HOST, "domain", "slow", timeout=2)
        except InvirtError as error:
            os.write(write, type(error).__name__.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        assert file.read() == b"NoAnswer"
    os.waitpid(child, 0)


def watched_over(address: str) -> bool:
    """Whether the kernel's timer of a connection to remctl at address is that of keep-alive (proc(5))."""
    remote = f"{socket.inet_aton(address)[::-1].hex().upper()}:{PORTS[0]:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return any(row[2] == remote and row[5].startswith("02:") for row in rows)


def test_the_kernel_watches_over_a_host_at_work(hosts: RemctlHosts) -> None:
    """A server that lost its power says nothing: without this a step's deadline would have to end."""
    address = hosts.addresses[HOST]
    child = os.fork()
    if child == 0:
        with suppress(InvirtError):
            hosts.call(HOST, "domain", "slow", timeout=20)
        os._exit(0)
    try:
        deadline = time.monotonic() + 10
        while not watched_over(address):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_silent_host_holds_nobody_up(hosts: RemctlHosts) -> None:
    with socket.create_server((loopback(), PORTS[0])) as frozen:
        both = RemctlHosts({**hosts.addresses, OTHER: frozen.getsockname()[0]})
        began = time.monotonic()
        answers = both.ask([OTHER, HOST], "domain", "status", timeout=10 * PATIENCE)
        assert time.monotonic() - began < 9 * PATIENCE
    assert list(answered(answers)) == [HOST]
    assert isinstance(answers[OTHER], Unreachable)


def test_failure_without_words() -> None:
    assert failure(3, "", HOST).message == f"{HOST}: status 3, and nothing said"
