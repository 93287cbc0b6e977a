"""Whatever a user says: a clear message, an exit code, no traceback, nothing done."""

from __future__ import annotations

import itertools

import pytest

from tests.parts.owned import machine
from tests.parts.remote.conftest import Cloud

NAMES = [
    "ALL", "EMPTY", "help", "root", "remus\nANYUSER", "../x", "a" * 64, "Remus", "rémus", "", " ", "-x",
    "x-", "x y", "x#", "a.b", "\x1b[31m", "x" * 100_000, "\udcff",
]  # fmt: skip
PRINCIPALS = ["a b", "eve\nANYUSER", "#eve", "pcre:.*", "deny:eve", "eve@", "@X", "eve@realm", "", "eve@A@B"]
NUMBERS = ["0", "-1", "1e3", "99999999999999999999999", "999999999", "x", "", "1.5", "٣", " 1"]


def check(cloud: Cloud, *command: str) -> None:
    """The command is refused in words."""
    answer = cloud.call("alice", *command)
    assert answer.status in (2, 3, 255), (command, answer)
    assert answer.stderr.strip() and "Traceback" not in answer.stderr, (command, answer)
    assert "internal error" not in answer.stderr, (command, answer)
    assert not answer.stdout, (command, answer)


def unchanged(cloud: Cloud) -> None:
    """There is remus, as it was made; nothing is under way."""
    database = cloud.remote.database
    assert database.execute("SELECT name, memory FROM machines") == [("remus", 128)]
    assert database.execute("SELECT * FROM operations WHERE state <> 'done'") == []
    assert cloud.remote.read("acl/remus") == "alice@INVIRT.TEST\ninclude /etc/remctl/acl/web\n"
    assert cloud.remote.read("conf").count("\n") == 1


def test_names(cloud: Cloud) -> None:
    machine(cloud.remote.database, "remus")
    for name in NAMES:
        check(cloud, "machine", "create", name)
        if name != "help":
            check(cloud, "control", name, "create")
    for name in ("ALL", "root", "remus\nANYUSER", "-x"):
        check(cloud, "machine", "show", name)
        check(cloud, "machine", "rename", "remus", name)
    unchanged(cloud)


@pytest.mark.nightly
def test_principals(cloud: Cloud) -> None:
    machine(cloud.remote.database, "remus")
    for principal in PRINCIPALS:
        check(cloud, "machine", "allow", "remus", principal)
    unchanged(cloud)


@pytest.mark.nightly
def test_numbers(cloud: Cloud) -> None:
    machine(cloud.remote.database, "remus")
    for number, option in zip(NUMBERS, itertools.cycle(("--memory", "--disk", "--cpus"))):
        check(cloud, "machine", "resize", "remus", f"{option}={number}")
        check(cloud, "machine", "create", "romulus", f"{option}={number}")
    unchanged(cloud)


def test_an_argument_too_long_for_a_process(cloud: Cloud) -> None:
    machine(cloud.remote.database, "remus")
    answer = cloud.call("alice", "machine", "show", "x" * 130_000)
    assert answer.status != 0 and not answer.stdout
    unchanged(cloud)
