"""What an operation is made of.

A kind of operation is its admission, which is one transaction, and its steps.
A step does something on a host (`do`), which must be safe to repeat, and has
something that undoes it (`undo`).  What the admission reserved in rows for a
step is given back by `unreserve`, whether or not the step was begun.  The last
step of a kind may write rows (`record`) in the transaction that marks it done
and ends the operation, so what is recorded never has to be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from invirt.base.errors import Busy
from invirt.remote.actor import Actor as Actor
from invirt.remote.hosts import Hosts
from invirt.remote.rows import Cursor
from invirt.remote.survey import Survey

Detail = dict[str, Any]
Say = Callable[[str], None]

OPEN = ("running", "undoing", "stuck")


class LeaseLost(Busy):
    """Another worker has taken the operation over."""


class Changed(Busy):
    """The machine changed between the hosts' answers and the admission; ask again."""


@dataclass(frozen=True)
class Request:
    """What is wanted, by whom, of which machine."""

    kind: str
    actor: Actor
    machine_name: str
    arguments: Detail = field(default_factory=dict)
    key: str | None = None


@dataclass(frozen=True)
class Work:
    """What a step gets to act on hosts.  token: for one command that changes something, not two."""

    hosts: Hosts
    operation_id: int
    token: int
    say: Say
    timeout: float  # seconds, one command

    def call(self, detail: Detail, *words: object) -> str:
        """Run a command on the step's host."""
        return self.hosts.call(detail["hostname"], *map(str, words), timeout=self.timeout)


HostAction = Callable[[Work, Detail], Detail | None]
RowAction = Callable[[Cursor, "Operation", Detail], None]


def machine_alone(at: Detail) -> set[str]:
    """What most commands take their token for: see invirt.host.tokens."""
    return {at["name"]}


@dataclass(frozen=True)
class Step:
    """words, undo_words: for people; {names} are filled in from the step's detail.

    tokens: for what its commands take their token on the host.
    """

    name: str
    words: str
    undo_words: str
    do: HostAction | None = None
    undo: HostAction | None = None
    unreserve: RowAction | None = None
    record: RowAction | None = None
    tokens: Callable[[Detail], set[str]] = machine_alone


@dataclass(frozen=True)
class Planned:
    """A step of one operation: the detail is all that it needs to know."""

    step: Step
    detail: Detail


@dataclass(frozen=True)
class Plan:
    """What an admission has decided; reserves: the host that gets a reservation of the machine's memory."""

    machine_id: int | None
    steps: Sequence[Planned]
    reserves: int | None = None


Admit = Callable[[Cursor, Request, Survey], Plan]


# Anyone with a quota; members of the machine's owner, or of its owner when it went to the trash;
# whoever may control it; administrators.
Who = Literal["anyone", "owner", "trash", "control", "administrator"]


@dataclass(frozen=True)
class Kind:
    """A kind of operation.

    admit: its admission.  steps: all that it may plan, in their order.
    asks: whether hosts are asked about the guest first.  who: may do it.
    """

    name: str
    summary: str
    admit: Admit
    steps: tuple[Step, ...]
    asks: bool = True
    who: Who = "owner"


@dataclass(frozen=True)
class StepRow:
    """A step as it stands in the database."""

    position: int
    name: str
    undo: str
    state: str
    detail: Detail
    changed_at: datetime


@dataclass(frozen=True)
class Operation:
    """An operation as it stands in the database."""

    operation_id: int
    kind: str
    machine_id: int | None
    machine_name: str
    principal: str
    via: str | None
    arguments: Detail
    state: str
    error: str | None
    lease_holder: str | None
    lease_until: datetime | None
    token: int
    attempts: int
    created_at: datetime
    finished_at: datetime | None
    steps: tuple[StepRow, ...] = ()

    @property
    def title(self) -> str:
        """For people, e.g. "operation 12 (boot of remus by alice@EXAMPLE.ORG)"."""
        return f"operation {self.operation_id} ({self.kind} of {self.machine_name} by {self.principal})"

    @property
    def is_open(self) -> bool:
        """Whether the machine is still kept busy by it."""
        return self.state in OPEN
