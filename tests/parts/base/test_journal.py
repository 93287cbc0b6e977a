"""A real journal, of its own: which machine and whose doing a line is about is found by its fields."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.realm import DEADLINE, end

ROOT = Path(__file__).parent.parent.parent.parent
SET_UP = """\
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
echo 0123456789abcdef0123456789abcdef >/run/machine-id
mount --bind /run/machine-id /etc/machine-id
printf '[Journal]\\nStorage=volatile\\nReadKMsg=no\\nAudit=no\\n' >/run/journald.conf
[ -e /etc/systemd/journald.conf ] && mount --bind /run/journald.conf /etc/systemd/journald.conf
exec /lib/systemd/systemd-journald
"""
COMMAND = """\
from invirt.base import log, remctl
from invirt.base.cli import Command
def run():
    log.about(machine="remus")
    return "it is done"
command = Command("invirt-x", 8, "s", "d", "x", run=run, remctl="x")
remctl.main(command, [], environ={"REMOTE_USER": "alice@INVIRT.TEST", "REMCTL_COMMAND": "x"})
log.write("one\\nINVIRT_MACHINE=forged", log.WARNING, machine="romulus", principal="bob@INVIRT.TEST")
"""


@pytest.fixture(scope="module")
def journal() -> Iterator[list[str]]:
    """What enters the server that has it."""
    argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", SET_UP]
    daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    enter = ["nsenter", "-t", str(daemon.pid), "-m"]
    try:
        limit = time.monotonic() + DEADLINE
        while subprocess.run([*enter, "test", "-S", "/run/systemd/journal/socket"], check=False).returncode:
            assert daemon.poll() is None and time.monotonic() < limit
            time.sleep(0.05)
        yield enter
    finally:
        end(daemon)


def lines(journal: list[str], *fields: str) -> list[dict[str, str]]:
    """What it has with these fields, the oldest first."""
    argv = [*journal, "journalctl", "--sync"]
    subprocess.run(argv, check=False, capture_output=True, timeout=DEADLINE)
    argv = [*journal, "journalctl", "--directory=/run/log/journal", "-o", "json", *fields]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=DEADLINE)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_lines_are_found_by_machine_and_principal(journal: list[str]) -> None:
    """Of a command that remctld runs, and of any other; nobody adds a field to a line."""
    path = ":".join(str(one) for one in ROOT.glob("invirt-*/python"))
    environment = {**os.environ, "PYTHONPATH": path}
    argv = [*journal, sys.executable, "-c", COMMAND]
    subprocess.run(argv, check=True, env=environment, timeout=DEADLINE)
    limit = time.monotonic() + DEADLINE
    while not (found := lines(journal, "INVIRT_MACHINE=romulus")):
        assert time.monotonic() < limit
        time.sleep(0.1)
    assert [line["INVIRT_PRINCIPAL"] for line in found] == ["bob@INVIRT.TEST"]
    assert found[0]["PRIORITY"] == "4" and found[0]["MESSAGE"] == "one\\nINVIRT_MACHINE=forged"
    (done,) = lines(journal, "INVIRT_PRINCIPAL=alice@INVIRT.TEST")
    assert done["INVIRT_MACHINE"] == "remus" and done["SYSLOG_IDENTIFIER"] == "invirt-x"
    assert done["MESSAGE"].endswith("from alice@INVIRT.TEST succeeded")
    assert lines(journal, "INVIRT_MACHINE=forged") == []
