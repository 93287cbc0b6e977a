"""What an operation is made of.

A kind of operation is its admission, which is one transaction, and its steps.
A step does something on a host (`do`) and has something that undoes it
(`undo`): each begins it by one short call, which must be safe to repeat, and
asks again and again (`until`) whether it is done.  What the admission reserved in rows for a
step is given back by `unreserve`, whether or not the step was begun.

One step of a kind may be its pivot.  Until that is done all is undone on
failure; from then on all that is left is done, however often it fails.  So only
the pivot and what comes after it may write rows (`record`), in the transaction
that marks the step done: what is recorded never has to be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from invirt import config
from invirt.base.errors import Busy
from invirt.base.names import MachineName
from invirt.remote.actor import Actor as Actor
from invirt.remote.answers import job_ended, job_progress
from invirt.remote.hosts import Hosts, Unknown
from invirt.remote.rows import Cursor
from invirt.remote.survey import Survey

Detail = dict[str, Any]
Say = Callable[[str], None]

OPEN = ("running", "undoing", "stuck")
CALL = 10  # seconds: no call to a host takes longer


class LeaseLost(Busy):
    """Another worker has taken the operation over."""


class Changed(Busy):
    """The machine changed between the hosts' answers and the admission; ask again."""


@dataclass(frozen=True)
class Request:
    """What is wanted, by whom, of which machine; secret: what is not written down with it."""

    kind: str
    actor: Actor
    machine_name: MachineName
    arguments: Detail = field(default_factory=dict)
    key: str | None = None
    secret: str = ""


def silent(found: Detail) -> None:
    """Nobody follows."""


@dataclass(frozen=True)
class Work:
    """What a step gets to act on hosts.

    token: for one command that changes something, not two.  prolong: has the
    lease last so many seconds more.  tell: adds to the step's detail, for who follows.
    """

    hosts: Hosts
    operation_id: int
    token: int
    prolong: Callable[[int], None]
    tell: Callable[[Detail], None] = silent

    def call(self, detail: Detail, *words: object) -> str:
        """Run a command on the step's host that takes no time."""
        return self.hosts.call(detail["hostname"], *map(str, words), timeout=CALL)

    def begin(self, detail: Detail, *words: object) -> Detail | None:
        """Run a command on the step's host that may take long, as a job there: None while that goes on.

        A host of the version before knows no jobs, and keeps us waiting.
        """
        try:
            answer = self.call(detail, "job", "begin", self.token, *words, self.token)
        except Unknown:
            limit = config.remote.work_timeout
            self.prolong(limit + CALL)
            self.hosts.call(detail["hostname"], *map(str, words), str(self.token), timeout=limit)
            return {}
        return job_ended(detail["hostname"], self.token, answer)

    def ended(self, detail: Detail) -> Detail | None:
        """How the job ended that begin() began; None while it goes on, and it is told how far it has come.

        Raises why it failed.
        """
        answer = self.call(detail, "job", "status", self.token)
        if progress := job_progress(answer):
            self.tell({"progress": progress})
        return job_ended(detail["hostname"], self.token, answer)


HostAction = Callable[[Work, Detail], Detail | None]
RowAction = Callable[[Cursor, "Operation", Detail], None]


def work_limit() -> int:
    """Seconds that something on a host may take in all."""
    return config.remote.work_timeout


@dataclass(frozen=True)
class Action:
    """Something that is done on a host.

    begin: one call.  until: asked again and again, unless begin has an answer
    already; None: not yet.  Both return what they found out.  meaning: of
    until, for people, filled in likewise.  limit: seconds that all of it may take; late, hint: what
    is said then, with {limit} and the step's detail filled in.  pause: between two
    questions, times the usual.  ends: once it is done its guest is off, as it is where
    its host was lost.
    """

    begin: HostAction
    until: HostAction | None = None
    meaning: str = ""
    limit: Callable[[], int] = work_limit
    late: str = "{host} has come to no end with it after {limit} seconds"
    hint: str = ""
    pause: float = 1.0
    ends: bool = False

    def waiting(self, detail: Detail, seconds: float, limit: int) -> str:
        """Words for who waits: for what, how far that has come, and how long it may take."""
        far = f"{detail['progress']}; " if "progress" in detail else ""
        return f"waiting until {self.meaning.format(**detail)} ({far}{seconds:.0f} of {limit} s)"


def job(*words: str, ends: bool = False) -> Action:
    """A command for the machine on the step's host that may take long; ends: see Action."""
    return Action(
        lambda work, at: work.begin(at, *words, at["name"]),
        lambda work, at: work.ended(at),
        "its job on the host has ended",
        ends=ends,
    )


def machine_alone(at: Detail) -> set[str]:
    """What most commands take their token for: see invirt.host.tokens."""
    return {at["name"]}


@dataclass(frozen=True)
class Step:
    """words, undo_words: for people; {names} are filled in from the step's detail.

    once: of a pivot whose host alone knows whether it was done: while that host doesn't answer
    it is neither undone nor passed, but asked for again.
    records: what `record` writes down, for people.  tokens: for what its
    commands take their token on the host.
    """

    name: str
    words: str
    undo_words: str
    do: Action | None = None
    undo: Action | None = None
    unreserve: RowAction | None = None
    record: RowAction | None = None
    records: str = ""
    pivot: bool = False
    once: bool = False
    tokens: Callable[[Detail], set[str]] = machine_alone


@dataclass(frozen=True)
class Planned:
    """A step of one operation: the detail is all that it needs to know."""

    step: Step
    detail: Detail


def check_order(steps: Iterable[Step]) -> None:
    """Raises ValueError if there are two pivots, or one writes rows before the pivot."""
    passed = False
    for step in steps:
        if step.pivot and passed:
            raise ValueError(f"{step.name} is a second pivot")
        passed = passed or step.pivot
        if step.record and not passed:
            raise ValueError(f"{step.name} records before the pivot: that could not be undone")


@dataclass(frozen=True)
class Plan:
    """What an admission has decided.

    reserves: the host that gets a reservation of the machine's memory.  rescue: it boots the rescue
    system there.
    """

    machine_id: int | None
    steps: Sequence[Planned]
    reserves: int | None = None
    rescue: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for an order in which it could be neither undone nor ended."""
        check_order(planned.step for planned in self.steps)


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

    def __post_init__(self) -> None:
        """Raises ValueError for an order in which it could be neither undone nor ended."""
        check_order(self.steps)


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
    machine_name: MachineName
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
