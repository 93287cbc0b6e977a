"""A guest's serial console over ssh, as users have it: real tickets, real guests."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pexpect
import pytest

from invirt_lab import cluster, console
from invirt_lab.site import CONSOLE, HOSTS, REALM, SERVERS
from tests.lab import terminals
from tests.lab.terminals import LEAVE, prompt
from tests.lab.users import Lab, eventually
from tests.results import Result, keep

Make = Callable[..., str]


@pytest.fixture
def ssh() -> Iterator[Callable[..., pexpect.spawn]]:
    """See terminals.ssh(); each is closed afterwards."""
    opened: list[pexpect.spawn] = []

    def run(user: str, name: str, *options: str) -> pexpect.spawn:
        opened.append(terminals.ssh(user, name, *options))
        return opened[-1]

    yield run
    for child in opened:
        child.close(force=True)


def test_the_owner_types_into_the_guest(lab: Lab, machine: Make, ssh: Callable[..., pexpect.spawn]) -> None:
    name = machine()
    lab.remctl("alice", "control", name, "create")
    terminal = ssh("alice", name)
    prompt(terminal)
    terminal.sendline("echo I am $(hostname)")
    terminal.expect(f"I am {name}")
    terminal.send("\x05cl0")
    terminal.expect("halt sent")
    terminal.send("h")
    terminal.expect("sysrq: HELP")
    terminal.send(LEAVE)
    terminal.expect(pexpect.EOF)


def test_access_counts_at_the_next_login_and_ends_a_session(
    lab: Lab, machine: Make, ssh: Callable[..., pexpect.spawn]
) -> None:
    name = machine()
    lab.remctl("alice", "control", name, "create")
    ssh("bob", name).expect("Permission denied")
    lab.remctl("alice", "machine", "allow", name, "bob@INVIRT.TEST")
    terminal = ssh("bob", name)
    prompt(terminal)
    lab.remctl("alice", "machine", "disallow", name, "bob@INVIRT.TEST")
    terminal.expect("you may not use the console")
    ssh("bob", name).expect("Permission denied")


def test_a_session_waits_for_the_boot_and_lives_through_a_reboot(
    lab: Lab, machine: Make, ssh: Callable[..., pexpect.spawn]
) -> None:
    name = machine()
    terminal = ssh("alice", name)
    terminal.expect(f"{name} is off; waiting")
    lab.remctl("alice", "control", name, "create")
    prompt(terminal)
    terminal.sendline("touch /before")
    prompt(terminal)
    lab.remctl("alice", "control", name, "reboot")
    prompt(terminal)
    terminal.sendline("[ -e /before ] && echo ol''d || echo ne''w")
    assert terminal.expect(["old", "new"]) == 1
    lab.remctl("alice", "control", name, "destroy")
    terminal.expect(f"{name} is off; waiting")
    terminal.send("\x03")
    terminal.expect(pexpect.EOF)


@pytest.fixture
def runs(lab: Lab, machine: Make) -> tuple[str, str, str]:
    """A machine that runs: its name, its host, and the other one."""
    name = machine()
    lab.remctl("alice", "control", name, "create")
    here = console.host_of(name)
    assert here
    return name, here, next(host for host in HOSTS if host != here)


@pytest.mark.nightly
def test_a_session_follows_a_machine_that_is_booted_elsewhere(
    lab: Lab, runs: tuple[str, str, str], ssh: Callable[..., pexpect.spawn]
) -> None:
    name, here, there = runs
    terminal = ssh("alice", name)
    prompt(terminal)
    lab.admin("host", "set", here, "--disable")
    try:
        lab.remctl("alice", "control", name, "shutdown")
        terminal.expect(f"{name} is off; waiting")
        lab.remctl("alice", "control", name, "create")
        terminal.expect(f"{name} is on {there}.invirt.test; connecting")
        prompt(terminal)
    finally:
        lab.admin("host", "set", here, "--enable")


@pytest.fixture
def administrator(lab: Lab) -> Iterator[str]:
    """Bob, for as long as the test."""
    lab.admin("administrator", "add", f"bob@{REALM}")
    yield "bob"
    lab.admin("administrator", "remove", f"bob@{REALM}")


def test_a_machine_moves_under_a_session_and_a_ping(
    lab: Lab, runs: tuple[str, str, str], ssh: Callable[..., pexpect.spawn], administrator: str
) -> None:
    """There, and back when that host is emptied: it is the same shell, and its neighbours hardly notice."""
    name, here, there = runs
    terminal = ssh("alice", name)
    prompt(terminal)
    terminal.sendline("mind=keeps")
    prompt(terminal)
    for target, words in ((there, ("machine", "migrate", name, there)), (here, ("host", "drain", there))):
        with ThreadPoolExecutor() as pool:
            ping = ("ping", "-i", "0.2", "-w", "600", f"{name}.invirt.test")
            pinged = pool.submit(cluster.as_user, "alice", "timeout", "-s", "INT", "12", *ping, check=False)
            lab.remctl(administrator, "admin", *words)
            assert console.host_of(name) == target
            terminal.expect(f"{name} is on {target}.invirt.test; connecting")
            prompt(terminal)
            terminal.sendline("echo $mind-$((6*7))")
            terminal.expect("keeps-42")
            sent, got = map(
                int, re.findall(r"(\d+) (?:packets transmitted|received)", pinged.result().stdout)
            )
        assert got > sent / 2, f"{got} of {sent} pings were answered"
        keep(Result("lab: pings lost while a machine moves", (sent - got) * 0.2, "s"))
    lab.remctl(administrator, "admin", "host", "rejoin", there)
    assert lab.settled()[here].count(name) == 1


def test_a_session_outlives_the_conserver_of_its_host(
    lab: Lab, runs: tuple[str, str, str], ssh: Callable[..., pexpect.spawn]
) -> None:
    name, here, _ = runs
    terminal = ssh("alice", name)
    prompt(terminal)
    lab.on(here, "systemctl", "restart", "conserver-server.service")
    terminal.expect(f"{name} is on {here}.invirt.test; connecting")
    prompt(terminal)


def test_boot_messages_are_on_the_last_screen(
    lab: Lab, machine: Make, ssh: Callable[..., pexpect.spawn]
) -> None:
    name = machine()
    lab.remctl("alice", "control", name, "create")
    console.ask(name, "echo left be''hind")
    terminal = ssh("alice", name)
    terminal.expect("left behind")


def test_there_are_no_commands_and_no_files(lab: Lab, machine: Make) -> None:
    name = machine()
    lab.remctl("alice", "control", name, "create")
    login = f"{name}@{SERVERS[CONSOLE].fqdn}"
    for argv in (
        ["ssh", login, "id"],
        ["ssh", "-W", "127.0.0.1:22", login],
        ["sftp", "-b", "/dev/null", login],
    ):
        done = cluster.as_user("alice", *argv, check=False)
        assert done.returncode != 0
        assert "uid=" not in done.stdout + done.stderr
        assert "SSH-2.0" not in done.stdout


def test_administrators_have_every_console(lab: Lab, machine: Make) -> None:
    name = machine(user="bob")
    lab.remctl("bob", "control", name, "create")
    join = ["sh", "-c", 'until console "$0"; do sleep 0.3; done', name]
    admin = terminals.open(cluster.command_on(CONSOLE, join))
    try:
        prompt(admin)
    finally:
        admin.close(force=True)


def test_with_the_database_frozen_root_is_not_held_up(lab: Lab, machine: Make) -> None:
    name = machine()
    lab.on("db", "systemctl", "kill", "--signal=SIGSTOP", "postgresql@*")
    try:
        begun = time.monotonic()
        lab.on(CONSOLE, "getent", "passwd", name, check=False)
        held_up = time.monotonic() - begun
        assert lab.on(CONSOLE, "id", "root").stdout.startswith("uid=0(root)")
        assert time.monotonic() - begun < 1.5 * held_up
        done = cluster.as_user("alice", "ssh", f"{name}@{SERVERS[CONSOLE].fqdn}", check=False)
        assert "Permission denied" in done.stderr
    finally:
        lab.on("db", "systemctl", "kill", "--signal=SIGCONT", "postgresql@*")
    eventually(lambda: lab.try_remctl("alice", "control", name, "status").returncode == 0, "service")


# Each unit that can start sshd, systemd's own among them; of a template, one instance.
SSHD_UNITS = """\
grep -ls '^ExecStart=-*/usr/sbin/sshd ' /usr/lib/systemd/system/*.service /run/systemd/generator*/*.service |
    sed 's|.*/||; s|@.service|@1.service|'
"""


def test_however_sshd_is_started_k5login_alone_decides(lab: Lab) -> None:
    units = lab.on(CONSOLE, "sh", "-c", SSHD_UNITS).stdout.split()
    assert "ssh.service" in units
    for unit in units:
        shown = lab.on(CONSOLE, "systemctl", "show", "--property=Environment", unit).stdout
        assert "KRB5_CONFIG=/etc/invirt/console/krb5.conf:" in shown, unit
