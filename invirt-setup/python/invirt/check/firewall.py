"""The firewall: each role's table is loaded, and is the one that its file says."""

from __future__ import annotations

import difflib
from pathlib import Path

from invirt.base.errors import CommandFailed
from invirt.base.process import run
from invirt.check.findings import Findings, error
from invirt.check.server import Server

RULES = "/etc/invirt/nftables"
LIST = ("nft", "--stateless", "--terse", "list", "table", "inet")
# What a file means is what a kernel makes of it: one whose network is nobody's.
MEANT = 'nft --file "$0" && exec nft --stateless --terse list table inet "$1"'
PATIENCE = 10  # seconds
LOAD = "systemctl restart invirt-firewall"


def look(server: Server) -> Findings:
    """Each role's."""
    for role in server.roles:
        file = server.file(f"{RULES}/{role}.nft")
        if not file.exists():
            yield error(f"{RULES}/{role}.nft", "it was not made: the ports are open", "invirt-config apply")
        else:
            yield from _table(file, f"invirt_{role}")


def _table(file: Path, table: str) -> Findings:
    try:
        loaded = run([*LIST, table], timeout=PATIENCE).stdout
    except CommandFailed:
        yield error(f"firewall table {table}", "it is not loaded: the role's ports are open", LOAD)
        return
    meant = run(["unshare", "--net", "--", "sh", "-c", MEANT, str(file), table], timeout=PATIENCE).stdout
    differs = [
        line[1:].strip()
        for line in difflib.ndiff(meant.splitlines(), loaded.splitlines())
        if line.startswith(("+ ", "- "))
    ]
    if differs:
        yield error(f"firewall table {table}", f"its rules are not those of {file}: {differs[0]}", LOAD)
