"""A locker's machine, shown: who administers the folder controls it, and nobody else."""

from __future__ import annotations

import json
import textwrap
import time

from invirt.base.errors import InvirtError
from invirt_lab import cell, cluster
from invirt_lab.installing import Shown
from invirt_lab.site import REALM

NAME = cell.OWNER.partition(":")[2]
REFUSED = 4


def show(demo: Shown, machine: str) -> None:
    """bob's locker has a machine, to which alice is a stranger until she is let into the locker."""
    if not cell.is_made():
        demo.wait(f"a cell of AFS on the server {cell.SERVER}", cell.make)
    demo.wait("a locker, of bob", _begin)
    demo.wait("an owner with that source", _own)
    demo.user("bob", "create", machine, "--owner", cell.OWNER, "--memory", "128M", "--disk", "1G")
    demo.user("bob", "start", machine)
    demo.user("alice", "status", machine, fails=REFUSED)
    demo.wait("alice in the locker's access list", lambda: _let("alice", "all"))
    demo.user("alice", "status", machine)
    demo.wait("bob off it", lambda: _let("bob", "none"))
    demo.user("bob", "kill", machine, fails=REFUSED)
    demo.user("alice", "kill", machine)
    demo.user("alice", "delete", machine, "--yes")


def members() -> list[str]:
    """Whom the database has as the locker's."""
    owners = json.loads(_on_db("invirt-admin", "owner", "list", "--json"))
    return next(str(one["members"]).split() for one in owners if one["name"] == cell.OWNER)


def wait_member(user: str, wanted: bool, timeout: float = 60) -> None:
    """Until the database knows somebody as a member of the locker, or as none; raises InvirtError."""
    deadline = time.monotonic() + timeout
    while (f"{user}@{REALM}" in members()) != wanted:
        if time.monotonic() > deadline:
            raise InvirtError(f"{user} is {'no' if wanted else 'still a'} member of {cell.OWNER}")
        time.sleep(0.2)


def _let(user: str, rights: str) -> None:
    cell.allow(NAME, user, rights)
    wait_member(user, rights != "none")
    _tell(cell.listed(NAME))


def _begin() -> None:
    cell.allow(cell.locker(NAME, "bob"), "alice", "none")
    _tell(cell.listed(NAME))


def _own() -> None:
    if cell.OWNER not in _on_db("invirt-admin", "owner", "list"):
        _on_db("invirt-admin", "owner", "add", cell.OWNER)
    wait_member("bob", True)
    wait_member("alice", False)


def _on_db(*words: str) -> str:
    return cluster.on("db", *words).stdout


def _tell(said: str) -> None:
    print(textwrap.indent(said.rstrip(), "    "))
