"""What the files of invirt-admin share: arguments that several verbs take, and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from invirt.base import validate
from invirt.base.cli import Argument, Option, Table, Verb
from invirt.base.errors import BadInput
from invirt.database import models

Row = dict[str, object]
LARGEST = 2**31 - 1  # PostgreSQL's integer; what makes sense the database knows


def memory(help: str, *, required: bool = False) -> Option:
    """--memory, in MiB."""
    return Option("memory", help, _mebibytes, "SIZE", unit="MiB", required=required, sample="64G")


def _mebibytes(text: str) -> int:
    return validate.mebibytes(text, 0, LARGEST)


def gibibytes(text: str) -> int:
    """A size in GiB."""
    return validate.gibibytes(text, 0, LARGEST)


def whole(text: str) -> int:
    """A whole number."""
    return validate.count(text, 0, LARGEST)


def named(sample: str, help: str = "") -> Argument:
    """The name of what the verb is about."""
    return Argument("name", help or "its name", metavar="NAME", sample=sample)


def listing(summary: str, run: Callable[[], list[Row]]) -> Verb:
    """The verb that shows all."""
    return Verb("list", summary, run, shown=Table())


def given(values: dict[str, Any], hint: str) -> dict[str, Any]:
    """Those values that are not None; raises BadInput, with the hint, if there is none."""
    found = {name: value for name, value in values.items() if value is not None}
    if not found:
        raise BadInput("nothing to set", hint=hint)
    return found


def refuse_if_used(what: str, machines: Sequence[models.Machine]) -> None:
    """Raise BadInput, naming some of the machines, if there are any."""
    if machines:
        shown = ", ".join(machine.name for machine in machines[:5])
        more = f" and {len(machines) - 5} more" if len(machines) > 5 else ""
        raise BadInput(f"{what} is in use by {shown}{more}", hint="Nothing was removed.")
