"""Asks a source in a process of its own, and takes no answer but a whole and sound one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from invirt import config
from invirt.base import validate
from invirt.base.errors import CommandFailed
from invirt.base.process import run
from invirt.database.members import loading

MOST = 1000  # members of one owner, which the database has as its bound, too
PROGRAM = "/usr/sbin/invirt-database-members"


def ask(kind: str, name: str) -> list[str]:
    """The principals that the plug-in tells of name, in this process; raises whatever it raises."""
    return sound(loading.load(kind)(name))


def ask_apart(kind: str, name: str, argv: tuple[str, ...] = (PROGRAM,)) -> list[str]:
    """The same by a child, which is killed at the deadline.  Raises CommandFailed, or BadInput."""
    done = run([*argv, "ask", kind, name, "--json"], timeout=config.owners.deadline, check=False)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        found = None
    if done.returncode != 0 or not isinstance(found, list):
        said = found.get("error") if isinstance(found, dict) else done.stderr.strip().rpartition("\n")[2]
        raise CommandFailed(str(said or f"it ended with status {done.returncode}, and no answer"))
    return sound(found)


def sound(found: Iterable[Any]) -> list[str]:
    """found, if each is a person's principal, and they are not too many; raises BadInput or CommandFailed."""
    principals = set()
    for one in found:
        if not isinstance(one, str):
            raise CommandFailed(f"it tells of a member that is no text: {ascii(one)[:80]}")
        principals.add(validate.person(one))
        if len(principals) > MOST:
            raise CommandFailed(f"it tells of more than {MOST} members")
    return sorted(principals)
