"""Writes docs/operations.md: every kind of operation, its steps, and what undoes each.

    python3 -m invirt.remote.operations.document > docs/operations.md

A test holds the file against the code.
"""

from __future__ import annotations

import re

from invirt.remote.operations import KINDS
from invirt.remote.operations.engine import ATTEMPTS, PAUSE
from invirt.remote.operations.model import CALL, Kind, Step
from invirt.remote.operations.store import LEASE

HEAD = f"""\
# Operations

Made from the code by `python3 -m invirt.remote.operations.document`.

Whatever changes a machine is an operation.  Its admission is one transaction
that checks what is asked for, reserves it, and writes down every step and what
undoes it.  Then the steps are done in their order.

- **The requester dies** (or the server, or the network to the database):
  `invirt-operations.service`, of the same remote server within a second, of any
  other once the lease of {LEASE} seconds ends, goes on where it was.  Steps on hosts
  are safe to repeat.
- **A step takes long**: it is begun by one call, of {CALL} seconds at most, and asked
  about until it is done; meanwhile the lease is renewed.
- **A step fails**: it and all steps before it are undone, last first, and the
  requester is told why.  Behind the *pivot* nothing is undone any more: what is
  left is tried again until it is done.  Only the pivot and steps behind it record
  anything.
- **A host doesn't answer** after a command was sent to it: nobody knows what
  became of the command, so the operation stays until that host answers, and is
  undone then.  Until then the machine is kept busy, and says by what.  A
  command that was never sent is undone at once.
- **Undoing fails** {ATTEMPTS} times, first after {PAUSE} seconds, then at growing distance:
  the operation is stuck.  `invirt-operations show` tells where; then `retry`,
  or put the hosts right by hand and `resolve` it as done or undone.
  That tells the hosts to do nothing late; `--gone HOST` is for one that never
  comes back.

Each time that a step is marked as begun, or its undoing is, it gets a token of
its own, higher than all before it, for the one command that is then sent to a
host.  A host obeys a token only if it is higher than all that it has seen for
the machine, so a command that comes late, or a second time, does nothing.
What can't be undone (a shutdown, say) is called off: its host is sent a token
alone, so that the command does nothing any more should it still be on its way.
"""

WHO = {
    "anyone": "anyone within a quota",
    "owner": "members of the machine's owner",
    "trash": "members of the owner whose it was",
    "control": "whoever may control the machine",
    "administrator": "administrators",
}


def sentence(words: str) -> str:
    """The words of a step, with what is filled in in capitals."""
    return re.sub(r"\{(\w+)\}", lambda name: name[1].upper(), words)


def where(step: Step) -> str:
    """Where a step is done."""
    if step.do:
        return "host, then database" if step.record else "host"
    return "database" if step.record else "admission"


def row(step: Step) -> str:
    """A step's line in the table."""
    name = f"{step.name} (**pivot**)" if step.pivot else step.name
    until = f", until {step.do.meaning}" if step.do and step.do.until else ""
    does = sentence(f"{step.words}{until}")
    cells = (name, where(step), does, sentence(step.records), sentence(step.undo_words))
    return f"| {' | '.join(cells)} |"


def section(kind: Kind) -> str:
    """One kind of operation, as a table of its steps."""
    rows = "\n".join(map(row, kind.steps))
    return f"""\
## {kind.name}

{kind.summary}.  For {WHO[kind.who]}.

| step | where | what it does | what it records | what undoes it |
|---|---|---|---|---|
{rows}
"""


def text() -> str:
    """The whole file."""
    return "\n".join([HEAD, *map(section, KINDS.values())])


if __name__ == "__main__":
    print(text(), end="")
