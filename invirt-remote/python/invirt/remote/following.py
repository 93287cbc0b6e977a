"""`machine operations --follow NUMBER`: an operation's steps as they come, and how it ends."""

from __future__ import annotations

import time

from invirt.base import errors
from invirt.base.cli import say
from invirt.base.errors import Busy, InvirtError, NotFound
from invirt.remote import followers, session
from invirt.remote.actor import Actor
from invirt.remote.followers import Told

LIMIT = 12 * 60.0  # seconds: invirt-remctld@.service ends connections after a quarter of an hour
# Whoever may see it among a machine's operations.
MAY = """
SELECT FROM operations WHERE operation_id = %(number)s AND (principal = %(who)s
    OR machine_id IN (SELECT machine_id FROM access WHERE principal = %(who)s))
"""


def follow(actor: Actor, number: int) -> str:
    """Tell each step when it begins and ends; returns how the operation ended, or raises why it failed.

    Raises NotFound for one that the actor may not see, and Busy after LIMIT: it is
    to be followed anew.
    """
    with session.transaction() as cursor:
        cursor.execute(MAY, {"who": actor.principal, "number": number})
        if cursor.fetchone() is None:
            raise NotFound(f"there is no operation {number} that you may see")
    session.let_go()
    began, seen = time.monotonic(), set[str]()
    for now in followers.follow(number, LIMIT):
        for line in _lines(now):
            if line not in seen:
                say(line)
            seen.add(line)
        if not now.is_open:
            return _ended(now)
    raise Busy(
        f"operation {number} is under way since you began to follow it, {time.monotonic() - began:.0f} s ago",
        hint=f"Follow it again: machine operations --follow {number}",
    )


def _lines(now: Told) -> list[str]:
    return [f"  {step.words}{': done' if step.state in ('done', 'undone') else ''}" for step in now.steps]


def _ended(now: Told) -> str:
    if now.state == "done":
        return f"{now.title} is done"
    kind = errors.of(now.exit_code, InvirtError)
    raise kind(now.error or "it failed", hint=f"{now.title} is {now.state}.")
