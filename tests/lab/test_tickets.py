"""Tickets end, or there are no new ones: whoever has one goes on, whoever hasn't is told so in time.

A KDC that is frozen is worse than one that is down: it takes every question and
answers none.  See tests.lab.faults.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pexpect

from invirt.base.process import run
from invirt_lab import cluster, console
from invirt_lab.site import CONSOLE, SERVERS
from tests.lab.faults import SOON, Make, guest, unnoticed
from tests.lab.test_console import prompt
from tests.lab.users import REMOTE, Lab, eventually

__all__ = ["guest", "unnoticed"]  # fixtures
LIFE = 4  # seconds of a short ticket
ANSWER = 10.0  # seconds: a deadline of three for each of a few questions
CACHE = "/run/invirt/krb5cc"


@contextmanager
def frozen_kdc(lab: Lab) -> Iterator[None]:
    """A KDC that takes connections and says nothing."""
    lab.on("kdc", "systemctl", "kill", "--signal=STOP", "krb5-kdc")
    try:
        yield
    finally:
        lab.on("kdc", "systemctl", "kill", "--signal=CONT", "krb5-kdc")


def short_ticket(*argv: str) -> list[str]:
    """A command of alice's with the ticket of a cache of its own."""
    own = ("env", "HOME=/home/alice", "KRB5CCNAME=FILE:/tmp/short")
    return cluster.command_on("client", ["runuser", "-u", "alice", "--", *own, *argv])


@contextmanager
def session(argv: list[str]) -> Iterator[pexpect.spawn]:
    """A console that is open and goes on after the block, in which it is at rest."""
    terminal = pexpect.spawn(argv[0], argv[1:], timeout=30, encoding="utf-8", codec_errors="replace")
    try:
        prompt(terminal)
        yield terminal
        terminal.sendline("echo still he''re")
        terminal.expect("still here")
    finally:
        terminal.close(force=True)


def test_a_users_ticket_has_ended(lab: Lab, guest: str) -> None:
    """remctl and ssh say so, each in words that the user's guide names; who is in stays in."""
    enter = ("ssh", "-tt", f"{guest}@{SERVERS[CONSOLE].fqdn}")
    status = ("remctl", REMOTE, "control", guest, "status")
    run(short_ticket("kinit", "-l", f"{LIFE}s", "-k", "-t", "/home/alice/.keytab", "alice"))
    began = time.monotonic()
    assert "running" in run(short_ticket(*status)).stdout
    with session(short_ticket(*enter)):
        time.sleep(max(0.0, LIFE + 1 - (time.monotonic() - began)))
        done = run(short_ticket(*status), check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "GSS-API error" in done.stderr
        assert "Ticket expired" in done.stderr
        done = run(short_ticket(*enter), check=False)
        assert (done.returncode, done.stdout) == (255, "")
        assert "Permission denied (publickey,gssapi" in done.stderr


def test_kdc_frozen(lab: Lab, guest: str, machine: Make) -> None:
    """Users and servers with tickets go on; a console server without any keeps its deadlines, and is back."""
    enter = cluster.command_as("alice", ["ssh", f"{guest}@{SERVERS[CONSOLE].fqdn}"])
    with session(enter), frozen_kdc(lab):
        name = machine()  # remote asks the database and the hosts
        lab.remctl("alice", "control", name, "create")
        assert "greeted" in console.ask_over_ssh("alice", name, "echo gree''ted")
        lab.remctl("alice", "control", name, "destroy")
        assert lab.on("remote", "invirt-reconcile").stdout == "no difference\n"
        lab.on(CONSOLE, "rm", CACHE)
        lab.on("db", "systemctl", "restart", "postgresql")
        for argv in (("getent", "passwd", guest), ("cat", f"/consolefs/{guest}/.k5login")):
            began = time.monotonic()
            assert lab.on(CONSOLE, *argv, check=False).returncode != 0
            assert time.monotonic() - began < ANSWER
        lab.remctl("alice", "control", guest, "status")
    eventually(
        lambda: guest in lab.on(CONSOLE, "getent", "passwd", guest, check=False).stdout, "logins", SOON
    )
    assert "greeted" in console.ask_over_ssh("alice", guest, "echo gree''ted")
