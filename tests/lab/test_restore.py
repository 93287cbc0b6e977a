"""The database server is lost, and another one of its name made what it was; no machine runs twice.

What happened since the backup the database doesn't know: a machine was made, another moved.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from invirt_lab import cluster, roles
from invirt_lab.site import SETUP
from tests.lab.users import Lab, eventually

BACKUP, SECRET = "/root/backup.tar.gpg", "/etc/invirt/backup.passphrase"
WRITE = f'umask 077; mkdir -p /etc/invirt; echo "$0" >{SECRET}; base64 -d >{BACKUP}'
PASSPHRASE = "correct horse battery staple"
BUSY = 5
TURNS = 12.0  # seconds: two of the timer that boots what should run


@pytest.mark.nightly
def test_a_lost_database_server(lab: Lab, machine: Callable[..., str]) -> None:
    roles.add("db", SETUP)
    known, moved = machine(), machine()
    for name in (known, moved):
        lab.remctl("alice", "control", name, "create")
    home = next(host for host, names in lab.domains().items() if moved in names)

    lab.on("db", "sh", "-c", WRITE, PASSPHRASE, input="")
    assert "database, " in lab.on("db", "invirt-backup", BACKUP).stdout
    kept = lab.on("db", "base64", BACKUP).stdout
    refused = lab.on("db", "invirt-restore", BACKUP, check=False)
    assert refused.returncode == BUSY and "--over" in refused.stderr

    new = machine()  # which the backup doesn't know
    lab.remctl("alice", "control", new, "create")
    lab.remctl("alice", "control", moved, "destroy")  # this it has elsewhere
    lab.admin("host", "set", home, "--disable")
    lab.remctl("alice", "control", moved, "create")
    before = lab.settled()
    assert moved not in before[home]
    number = int(lab.sql("SELECT max(machine_id) FROM machines"))

    cluster.kill("db")
    cluster.boot("db", anew=True)
    cluster.wait_booted("db")
    assert lab.on("db", "sh", "-c", "ls /etc/invirt /etc/krb5.keytab", check=False).stdout == ""
    roles.apt("db", "install", "--no-install-recommends", "invirt-database-server", SETUP)
    lab.on("db", "sh", "-c", WRITE, PASSPHRASE, input=kept)
    assert "invirt-reconcile" in lab.on("db", "invirt-restore", BACKUP).stdout

    said = eventually(lambda: _reconciled(lab, new), "the remote server to have the database again", 120)
    assert f"guest {new} runs on" in said and "but there is no such machine" in said
    assert f"{moved} runs on" in said and "but the database has it" in said
    assert "twice" not in said
    time.sleep(TURNS)
    assert lab.settled() == before
    assert lab.try_remctl("alice", "control", moved, "create").returncode != 0
    assert lab.try_remctl("alice", "machine", "create", new, "--memory", "128", "--disk", "1").returncode != 0
    assert lab.settled() == before
    assert lab.remctl("alice", "machine", "list").count(known) == 1
    other = machine()
    assert int(lab.sql(f"SELECT machine_id FROM machines WHERE name = '{other}'")) > number + 900
    for host, names in lab.domains().items():
        if new in names:
            lab.on(host, "xm", "destroy", f"d_{new}")
    lab.on("remote", "invirt-reconcile", "--fix", check=False)  # its disk, for the tests that follow


def _reconciled(lab: Lab, new: str) -> str:
    """What invirt-reconcile says of the new one, if it does."""
    said = lab.on("remote", "invirt-reconcile", check=False).stdout
    return said if new in said else ""
