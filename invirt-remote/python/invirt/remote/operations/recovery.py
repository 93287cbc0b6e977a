"""What happens to operations that their requesters left: by the service, or by an administrator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from invirt import config
from invirt.base import log
from invirt.base.errors import BadInput, Busy, InvirtError, Unreachable
from invirt.database.connection import Connection, transaction
from invirt.remote.hosts import Hosts
from invirt.remote.lines import Answer
from invirt.remote.operations import STEPS, silence, store
from invirt.remote.operations.engine import ATTEMPTS, Worker
from invirt.remote.operations.model import Operation, Say
from invirt.remote.operations.outcomes import is_past_pivot, is_unknown
from invirt.remote.rows import Cursor


class Impatient:
    """Hosts, of which those that were silent once are not waited for again."""

    def __init__(self, hosts: Hosts, silent: Iterable[str] = ()) -> None:
        self.hosts = hosts
        self.silent = set(silent)

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        """See Hosts."""
        if hostname in self.silent:
            raise Unreachable(f"{hostname} doesn't answer")
        try:
            return self.hosts.call(hostname, *words, timeout=timeout)
        except Unreachable:
            self.silent.add(hostname)
            raise

    def ask(self, hostnames: Sequence[str], *words: str, timeout: float) -> dict[str, Answer]:
        """See Hosts."""
        left = [name for name in hostnames if name not in self.silent]
        answers = {
            name: Unreachable(f"{name} doesn't answer") for name in self.silent.intersection(hostnames)
        }
        return {**answers, **self.hosts.ask(left, *words, timeout=timeout)}


def run(connection: Connection, hosts: Hosts, say: Say = silence) -> list[Operation]:
    """Go on with all operations that nobody works on, or undo them; returns those that were taken up."""
    with transaction(connection) as cursor:
        found = store.left_over(cursor)
        operations = store.select(cursor, "operation_id = ANY(%s)", ([left.number for left in found],))
    patient = Impatient(hosts, silent(hosts, operations))
    taken = [take_up(connection, patient, left, say) for left in found]
    return [operation for operation in taken if operation]


def silent(hosts: Hosts, operations: Sequence[Operation]) -> set[str]:
    """Which of their steps' hosts are: asked side by side, since each is waited for."""
    names = sorted(
        {row.detail["hostname"] for one in operations for row in one.steps if "hostname" in row.detail}
    )
    if len(names) < 2:
        return set()
    answers = hosts.ask(names, "domain", "list", timeout=config.remote.host_timeout)
    return {name for name, answer in answers.items() if isinstance(answer, Unreachable)}


def take_up(connection: Connection, hosts: Hosts, left: store.LeftOver, say: Say) -> Operation | None:
    """Go on with an operation that nobody works on, or undo it; None if somebody does by now."""
    with transaction(connection) as cursor:
        lease = store.claim(cursor, left.number, store.this_process(), left.gone)
    return _work(connection, hosts, lease, say) if lease else None


def _work(connection: Connection, hosts: Hosts, lease: store.Lease, say: Say) -> Operation:
    """One operation, whatever comes of it: it is written in its row, and told."""
    with transaction(connection) as cursor:
        operation = found = store.load(cursor, lease.operation_id)
    about = {"machine": operation.machine_name, "principal": operation.principal}
    say(f"{operation.title}: {operation.state}")
    try:
        Worker(connection, hosts, lease, STEPS, say).run()
    except InvirtError as error:
        say(f"{operation.title}: {error.message}")
    with transaction(connection) as cursor:
        operation = store.load(cursor, lease.operation_id)
    if operation.state != found.state:
        level = log.INFO if operation.state in ("done", "undone") else log.WARNING
        log.write(f"{operation.title} is {operation.state}", level, program="invirt-operations", **about)
    return operation


def retry(connection: Connection, hosts: Hosts, number: int, say: Say) -> Operation:
    """Try now what a stuck or waiting operation is at: going on, or undoing."""
    operation = _load(connection, number)
    stuck = "running" if is_past_pivot(operation, STEPS) else "undoing"
    become = stuck if operation.state == "stuck" else operation.state
    return _take(connection, hosts, number, become, say)


def undo(connection: Connection, hosts: Hosts, number: int, say: Say) -> Operation:
    """Undo an operation that nobody works on; raises BadInput if it can't be undone any more."""
    operation = _load(connection, number)
    _refuse_past_pivot(operation)
    if is_unknown(operation, STEPS):
        raise BadInput(
            f"{operation.title} may have got so far that it can't be undone",
            hint="Retry it: its host says how far it got. If that never comes back, resolve it.",
        )
    _note(connection, operation, "an administrator had it undone")
    return _take(connection, hosts, number, "undoing", say)


def resolve(
    connection: Connection, hosts: Hosts, number: int, done: bool, say: Say, gone: Sequence[str] = ()
) -> Operation:
    """Take it that an administrator has done, or undone, by hand all that there was on hosts.

    Hosts are told to do nothing late, but those that are gone; else only the rows
    are brought up to it.  Raises BadInput if what was reserved for it has been given
    back, so that it can't be done any more; Unreachable if a host can't be told, and
    what else hosts answer: then nothing is changed.
    """
    operation = _load(connection, number)
    if not done:
        _refuse_past_pivot(operation)
    if done and any(step.state == "undone" for step in operation.steps):
        raise BadInput(
            f"some of {operation.title} was undone already",
            hint="Undo the rest by hand, then resolve it as undone.",
        )
    lease = _claim(connection, number, operation.state)
    try:
        _fence(hosts, operation, lease, gone)
    except InvirtError:
        with transaction(connection) as cursor:
            store.postpone(cursor, lease, 0, False, ATTEMPTS)
        raise
    with transaction(connection) as cursor:
        store.become(cursor, lease, "running" if done else "undoing")
    if not done:
        _note(connection, operation, "an administrator undid it by hand")
    return Worker(connection, hosts, lease, STEPS, say, by_hand=True).run()


def _refuse_past_pivot(operation: Operation) -> None:
    if is_past_pivot(operation, STEPS):
        raise BadInput(
            f"{operation.title} can't be undone any more",
            hint="Retry it, or bring it to its end by hand and resolve it as done.",
        )


def _fence(hosts: Hosts, operation: Operation, lease: store.Lease, gone: Sequence[str]) -> None:
    """See to it that no command of the operation that is still on its way is obeyed."""
    to_tell = {
        (row.detail["host"], row.detail["hostname"], name)
        for row in operation.steps
        if STEPS[row.name].do and row.state != "pending"
        for name in STEPS[row.name].tokens(row.detail)
    }
    for host, hostname, name in sorted(to_tell):
        if host in gone:
            continue
        try:
            words = ("domain", "fence", name, str(lease.token))
            hosts.call(hostname, *words, timeout=config.remote.host_timeout)
        except Unreachable as error:
            raise Unreachable(
                error.message,
                hint=f"{host} may still get a command of {operation.title}, so nothing was changed."
                f" If it never comes back: --gone {host}.",
            ) from error


def _load(connection: Connection, number: int) -> Operation:
    """The operation, if it is still open; raises NotFound or BadInput."""
    with transaction(connection) as cursor:
        return _open(cursor, number)


def _open(cursor: Cursor, number: int) -> Operation:
    operation = store.load(cursor, number)
    if not operation.is_open:
        raise BadInput(f"{operation.title} is {operation.state} already")
    return operation


def _note(connection: Connection, operation: Operation, error: str) -> None:
    """Why it is undone, unless it is known."""
    with transaction(connection) as cursor:
        store.note(cursor, operation.operation_id, error)


def _take(connection: Connection, hosts: Hosts, number: int, become: str, say: Say) -> Operation:
    """Claim it and work on it; raises Busy if someone does, and what goes wrong."""
    return Worker(connection, hosts, _claim(connection, number, become), STEPS, say).run()


def _claim(connection: Connection, number: int, become: str) -> store.Lease:
    """The right to work on it, from a state on; raises Busy if someone has it."""
    with transaction(connection) as cursor:
        operation = _open(cursor, number)
        holder = operation.lease_holder
        gone = holder if holder and store.is_gone(holder) else None
        lease = store.claim(cursor, number, store.this_process(), gone, become)
    if not lease:
        raise Busy(
            f"{operation.title} is being worked on by {operation.lease_holder}",
            hint=f"Wait for its end; its lease lasts until {operation.lease_until:%H:%M:%S}.",
        )
    return lease
