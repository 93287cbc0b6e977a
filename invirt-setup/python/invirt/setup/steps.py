"""Steps that make a server: each looks first, and acts only where something is missing.

So a run that was killed is followed by another one, which goes on; what one step
does is safe to be done twice, or half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from invirt.base.cli import say
from invirt.base.errors import InvirtError


@dataclass(frozen=True)
class Step:
    """One thing that is so in the end.

    name: what, for people.  done: looks, and changes nothing.  do: makes it so.
    """

    name: str
    done: Callable[[], bool]
    do: Callable[[], object]


def look(steps: Iterable[Step]) -> list[dict[str, object]]:
    """Say what would be done, and do nothing; what can't be looked at yet isn't so."""
    records: list[dict[str, object]] = []
    for step in steps:
        is_so = _is_so(step)
        say(f"{step.name}: {'is so' if is_so else 'would be done'}")
        records.append({"step": step.name, "wanted": not is_so})
    return records


def _is_so(step: Step) -> bool:
    try:
        return step.done()
    except (InvirtError, OSError):  # it builds on others that aren't so
        return False


def run(steps: Iterable[Step]) -> list[dict[str, object]]:
    """Do what is missing; returns a record for each step.

    Raises InvirtError where a step has been done, and it isn't so all the same.
    """
    records = []
    for step in steps:
        was = step.done()
        say(f"{step.name}: {'is so' if was else '…'}")
        if not was:
            step.do()
            if not step.done():
                raise InvirtError(f"{step.name}: was done, and is not so", "Run invirt-setup again.")
        records.append({"step": step.name, "done": not was})
    return records
