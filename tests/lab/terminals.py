"""Terminals on which users and administrators have a guest's console."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pexpect

from invirt_lab import cluster, console
from invirt_lab.site import CONSOLE, SERVERS

LEAVE = "\x05c."


def open(argv: Sequence[str]) -> pexpect.spawn:
    """A command on a terminal of its own."""
    return pexpect.spawn(argv[0], list(argv[1:]), timeout=60, encoding="utf-8", codec_errors="replace")


@contextmanager
def closing(terminal: pexpect.spawn) -> Iterator[pexpect.spawn]:
    """It is gone after the block."""
    try:
        yield terminal
    finally:
        terminal.close(force=True)


def ssh(user: str, name: str, *options: str) -> pexpect.spawn:
    """ssh as a user from the client: ssh("alice", "remus", "-v")."""
    return open(cluster.command_as(user, ["ssh", *options, f"{name}@{SERVERS[CONSOLE].fqdn}"]))


def prompt(terminal: pexpect.spawn) -> None:
    """Until the guest's shell takes commands and has done all before."""
    words, answer = console.greeting()
    for _ in range(60):
        terminal.send(f"{words}\r")
        if terminal.expect_exact([answer, pexpect.TIMEOUT], timeout=2) == 0:
            return
    raise AssertionError(f"no prompt: {terminal.before}")
