"""A user's ticket ends: remctl and ssh say so, in words that the user's guide names; who is in stays in."""

from __future__ import annotations

import time

import pexpect

from invirt.base.process import run
from invirt_lab import cluster
from invirt_lab.site import CONSOLE, SERVERS
from tests.lab.faults import guest, unnoticed
from tests.lab.test_console import LEAVE, prompt
from tests.lab.users import REMOTE, Lab

__all__ = ["guest", "unnoticed"]  # fixtures
LIFE = 8  # seconds of a short ticket


def short_ticket(*argv: str) -> list[str]:
    """A command of alice's with the ticket of a cache of its own."""
    own = ("env", "HOME=/home/alice", "KRB5CCNAME=FILE:/tmp/short")
    return cluster.command_on("client", ["runuser", "-u", "alice", "--", *own, *argv])


def test_a_users_ticket_has_ended(lab: Lab, guest: str) -> None:
    status = short_ticket("remctl", REMOTE, "control", guest, "status")
    enter = short_ticket("ssh", "-tt", f"{guest}@{SERVERS[CONSOLE].fqdn}")
    run(short_ticket("kinit", "-l", f"{LIFE}s", "-k", "-t", "/home/alice/.keytab", "alice"))
    ended = time.monotonic() + LIFE + 1
    assert "running" in run(status).stdout
    terminal = pexpect.spawn(enter[0], enter[1:], timeout=30, encoding="utf-8", codec_errors="replace")
    try:
        prompt(terminal)
        time.sleep(max(0.0, ended - time.monotonic()))
        done = run(status, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "GSS-API error" in done.stderr
        assert "Ticket expired" in done.stderr
        done = run(enter, check=False)
        assert (done.returncode, done.stdout) == (255, "")
        assert "Permission denied (publickey,gssapi" in done.stderr
        prompt(terminal)
        terminal.send(LEAVE)  # the next has the keyboard
        terminal.expect(pexpect.EOF)
    finally:
        terminal.close(force=True)
