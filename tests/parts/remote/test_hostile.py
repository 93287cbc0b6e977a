"""Whatever a user says: a clear message, an exit code, no traceback, nothing done."""

from __future__ import annotations

import pytest

from tests.parts.remote.conftest import RemoteServer, machine

NAMES = [
    "ALL", "EMPTY", "help", "root", "remus\nANYUSER", "../x", "a" * 64, "Remus", "rémus", "", " ", "-x",
    "x-", "x y", "x#", "a.b", "\x1b[31m", "x" * 100_000, "\udcff",
]  # fmt: skip
PRINCIPALS = [
    "a b",
    "eve\nANYUSER",
    "#eve",
    "pcre:.*",
    "ANYUSER",
    "eve@",
    "@X",
    "eve@realm",
    "",
    "eve@A@B",
    "*",
]
NUMBERS = ["0", "-1", "1e3", "99999999999999999999999", "999999999", "x", "", "1.5", "٣", "0x10", " 1"]


def check(remote: RemoteServer, *command: str) -> None:
    """The command is refused in words."""
    answer = remote.call("alice", *command)
    assert answer.status in (2, 3, 255), (command, answer)
    assert answer.stderr.strip() and "Traceback" not in answer.stderr, (command, answer)
    assert "internal error" not in answer.stderr, (command, answer)
    assert not answer.stdout, (command, answer)


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
def test_names(remote: RemoteServer, name: str) -> None:
    machine(remote.database, "remus")
    for command in (
        ("machine", "create", name),
        ("machine", "show", name),
        ("machine", "rename", "remus", name),
        ("control", name, "create"),
    ):
        if command[:2] != ("control", "help"):
            check(remote, *command)
    assert remote.database.execute("SELECT name FROM machines") == [("remus",)]
    assert remote.read("conf").count("\n") == 1


def test_principals(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    for principal in PRINCIPALS:
        check(remote, "machine", "allow", "remus", principal)
    assert remote.read("acl/remus") == "alice@INVIRT.TEST\ninclude /etc/remctl/acl/web\n"


def test_numbers(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    for number in NUMBERS:
        for option in ("--memory", "--cpus", "--disk"):
            check(remote, "machine", "resize", "remus", f"{option}={number}")
            check(remote, "machine", "create", "romulus", f"{option}={number}")
    assert remote.database.execute("SELECT name, memory FROM machines") == [("remus", 128)]
