"""Takes an operation through its steps, or back.

Each step is marked before it is done on a host and after; each mark is a
transaction of its own, fenced by the lease.  Killed anywhere, the next worker
finds in the rows what was done, what may have been done and what was not: it
goes on where the first was, or, after an error, goes on undoing; or, past the
pivot, goes on all the same.  What takes long on a host is asked about, and the
lease renewed in between, so a short lease is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from invirt.base import log
from invirt.base.errors import InvirtError, Unreachable
from invirt.database.connection import Connection, transaction
from invirt.database.refusals import Conflict
from invirt.remote import clock
from invirt.remote.hosts import Hosts, NoAnswer
from invirt.remote.operations import store
from invirt.remote.operations.model import (
    Action,
    Detail,
    HostAction,
    LeaseLost,
    Operation,
    Say,
    Step,
    StepRow,
    Work,
)
from invirt.remote.operations.outcomes import going_on, is_past_pivot, pending, undone
from invirt.remote.operations.surviving import Lost, Surviving
from invirt.remote.rows import Cursor

ATTEMPTS = 5  # undoing that fails so often is for an administrator
PAUSE = 10  # seconds until the first next attempt; doubled at each
RETRIES = 5  # of a transaction that met another
POLL = 0.5  # seconds between two questions whether something is done
UNANSWERED = 3  # questions in a row, and what is asked about is given up
RENEW = 5  # seconds until the lease is renewed
WORD = 10  # seconds between two words to who waits

T = TypeVar("T")


def change(connection: Connection, work: Callable[[Cursor], T]) -> T:
    """One transaction, run again when it met another one."""
    for _ in range(RETRIES):
        try:
            with transaction(connection) as cursor:
                return work(cursor)
        except Conflict:
            continue
    with transaction(connection) as cursor:
        return work(cursor)


class StepFailed(Exception):
    """Something on a host went wrong; sent: whether the host may have got the command."""

    def __init__(self, error: InvirtError, sent: bool) -> None:
        super().__init__(error.message)
        self.error = error
        self.sent = sent


class Worker:
    """Works on one operation with the lease that it has.

    by_hand: an administrator has done by hand what there is to be done on
    hosts, so that only the rows are brought up to it.
    """

    def __init__(
        self,
        connection: Connection,
        hosts: Hosts,
        lease: store.Lease,
        steps: dict[str, Step],
        say: Say,
        by_hand: bool = False,
    ) -> None:
        self.connection = connection
        self.hosts = Surviving(connection, hosts)
        self.lease = lease
        self.steps = steps
        self.say = say
        self.by_hand = by_hand
        self.at = 0, ""  # position and state of the step that is at work
        self.told: Detail = {}  # how far that has come, as tell() has written it
        self.ended: Operation | None = None  # as its last step's transaction left it

    def run(self, admitted: Operation | None = None) -> Operation:
        """Go on, or go on undoing, to the end.

        admitted: the operation as it stands, if that was read already.
        Raises the error that turned the operation back (once it is undone), or
        that keeps it from being undone; Unreachable when the database went away
        and LeaseLost when another worker has it: then nothing more is touched.
        """
        operation = admitted or self.load()
        if operation.state == "running":
            cause = self.forward(operation)
            if cause is None:
                return self.ended or self.load()
            if (now := self.load()).state == "running":
                self.postpone(now, cause)
                raise going_on(cause, now, self.steps)
            self.back(now, cause)
            raise undone(cause, operation)
        self.back(operation, None)
        return self.load()

    def load(self) -> Operation:
        """The operation as it stands."""
        return self.change(lambda cursor: store.load(cursor, self.lease.operation_id))

    def forward(self, operation: Operation) -> InvirtError | None:
        """Do the steps that are not done; None if all went well, else the error.

        Then it is undoing, unless its pivot is done.
        """
        passed = is_past_pivot(operation, self.steps)
        left = [row for row in operation.steps if row.state != "done"]
        for row in left:
            try:
                self.do(operation, row, last=row is left[-1], passed=passed)
            except StepFailed as failed:
                if not passed and not self.unknown(row, failed):
                    untouched = row.state == "pending" and not failed.sent
                    self.turn_back(row, failed.error, "pending" if untouched else "doing")
                return failed.error
            passed = passed or self.steps[row.name].pivot
        if not left:
            self.change(lambda cursor: store.finish(cursor, self.lease, "done"))
        return None

    def unknown(self, row: StepRow, failed: StepFailed) -> bool:
        """Whether nobody but the silent host knows what became of a pivot: see Step.once."""
        begun = failed.sent or row.state != "pending"
        return self.steps[row.name].once and begun and isinstance(failed.error, Unreachable)

    def do(self, operation: Operation, row: StepRow, last: bool, passed: bool) -> None:
        """One step forward; with the last one the operation is done.  passed: the pivot is behind it."""
        step = self.steps[row.name]
        self.say(step.words.format(**row.detail))
        if step.do:
            self.begin(row, "doing")
        found = self.act(step.do, row.detail, certain=passed)
        try:
            self.change(lambda cursor: self.done(cursor, operation, row, found, last))
        except (LeaseLost, Unreachable):
            raise
        except InvirtError as error:  # the rows don't allow it
            raise StepFailed(error, sent=step.do is not None) from error

    def done(self, cursor: Cursor, operation: Operation, row: StepRow, found: Detail, last: bool) -> None:
        """Write down that a step is done."""
        store.mark(cursor, self.lease, row.position, "done", found)
        if record := self.steps[row.name].record:
            record(cursor, operation, {**row.detail, **found})
        if last:
            store.finish(cursor, self.lease, "done")
            self.ended = store.load(cursor, self.lease.operation_id)

    def turn_back(self, row: StepRow, error: InvirtError, state: str) -> None:
        """From running to undoing; state: of the step that failed."""

        def work(cursor: Cursor) -> None:
            store.mark(cursor, self.lease, row.position, state, {"exit_code": error.exit_code})
            store.turn_back(cursor, self.lease, error.message)

        self.change(work)

    def back(self, operation: Operation, cause: InvirtError | None) -> None:
        """Undo the steps in reverse.  What can't be undone now is left for later: raises why."""
        for row in reversed(operation.steps):
            if row.state == "undone":
                continue
            try:
                self.undo(operation, row)
            except StepFailed as failed:
                self.postpone(operation, failed.error)
                raise pending(cause, failed.error, operation) from failed
        self.change(lambda cursor: store.finish(cursor, self.lease, "undone"))

    def undo(self, operation: Operation, row: StepRow) -> None:
        """One step back: on the host if it was begun there; what was reserved for it in any case."""
        step = self.steps[row.name]
        found: Detail = {}
        if step.undo and row.state != "pending":
            self.say(row.undo)
            self.begin(row, "undoing")
            found = self.act(step.undo, row.detail, certain=True)

        def work(cursor: Cursor) -> None:
            store.mark(cursor, self.lease, row.position, "undone", found)
            if step.unreserve:
                step.unreserve(cursor, operation, {**row.detail, **found})

        try:
            self.change(work)
        except (LeaseLost, Unreachable):
            raise
        except InvirtError as error:
            raise StepFailed(error, sent=False) from error

    def act(self, action: Action | None, detail: Detail, certain: bool) -> Detail:
        """Do something on a host, to its end; returns what it found out.

        On a host that was lost nothing runs: what ends a guest there is done, and
        so is what can't be turned back (certain); anything else has failed.
        """
        if action is None or self.by_hand:
            return {}
        try:
            return self.work(action, detail)
        except StepFailed as failed:
            if isinstance(failed.error, Lost) and (certain or action.ends):
                return {}
            raise

    def work(self, action: Action, detail: Detail) -> Detail:
        """Do it on a host that is there."""
        work = Work(self.hosts, self.lease.operation_id, self.lease.token, self.prolong, self.tell)
        found = self.ask(action.begin, work, detail)
        if found is None and action.until is not None:
            return self.wait(action, action.until, work, detail)
        return found or {}

    def wait(self, action: Action, until: HostAction, work: Work, detail: Detail) -> Detail:
        """Ask until it is done, within its limit, and hold the lease meanwhile."""
        limit, unanswered = action.limit(), 0
        begun = renewed = said = clock.current.monotonic()
        while True:
            try:
                found, unanswered = self.ask(until, work, detail), 0
            except StepFailed as failed:
                unanswered += 1
                if unanswered >= UNANSWERED or not isinstance(failed.error, Unreachable):
                    raise StepFailed(failed.error, sent=True) from failed
                found = None
            if found is not None:
                return found
            now = clock.current.monotonic()
            if now - begun > limit:
                late = action.late.format(limit=limit, **detail)
                raise StepFailed(InvirtError(late, action.hint.format(**detail)), sent=True)
            if now - renewed > RENEW:
                self.prolong()
                renewed = now
            if now - said > WORD:
                self.say(action.waiting(detail | self.told, now - begun, limit))
                said = now
            clock.current.sleep(POLL * action.pause)

    def prolong(self, seconds: int = store.LEASE) -> None:
        """Have the lease last so long from now on."""
        self.change(lambda cursor: store.hold(cursor, self.lease, seconds))

    def ask(self, what: HostAction, work: Work, detail: Detail) -> Detail | None:
        """One exchange with a host; raises StepFailed."""
        try:
            return what(work, detail)
        except LeaseLost:
            raise
        except InvirtError as error:
            sent = isinstance(error, NoAnswer) or not isinstance(error, Unreachable)
            raise StepFailed(error, sent) from error
        except Exception as error:  # a bug must not keep what was reserved
            log.bug(error, program="invirt-operations")
            raise StepFailed(InvirtError(f"internal error: {error!r}"), sent=True) from error

    def postpone(self, operation: Operation, error: InvirtError) -> None:
        """Give the operation back for a while; for the next turn if it is for want of an answer.

        A host that doesn't answer is waited for without end.
        """
        failed = not isinstance(error, Unreachable)
        delay = PAUSE * 2 ** min(operation.attempts, 6) if failed else 0
        self.change(lambda cursor: store.postpone(cursor, self.lease, delay, failed, ATTEMPTS))

    def begin(self, row: StepRow, state: str) -> None:
        """The state of a step, before something is done on a host."""
        self.lease = self.change(lambda cursor: store.begin(cursor, self.lease, row.position, state))
        self.at, self.told = (row.position, state), {}

    def tell(self, found: Detail) -> None:
        """How far the step has come that is at work; written down where it is news."""
        if found != self.told:
            self.told = found
            self.change(lambda cursor: store.mark(cursor, self.lease, *self.at, found))

    def change(self, work: Callable[[Cursor], T]) -> T:
        """See change()."""
        return change(self.connection, work)
