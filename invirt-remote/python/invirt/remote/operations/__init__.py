"""Operations: the one way in which anything about a machine changes.

submit() admits an operation and works on it; when it returns, it is done.
"""

from __future__ import annotations

from contextlib import closing

from invirt import config
from invirt.base import errors
from invirt.base.errors import BadInput, Busy, InvirtError, Unreachable
from invirt.base.names import MachineName
from invirt.database.connection import Connection, connect, transaction
from invirt.remote import clock
from invirt.remote import survey as surveys
from invirt.remote.hosts import Hosts, RemctlHosts
from invirt.remote.operations import (
    cold,
    disks,
    ejecting,
    installing,
    machines,
    moving,
    power,
    rescuing,
    store,
    trash,
)
from invirt.remote.operations.admission import require_access
from invirt.remote.operations.engine import Worker, change
from invirt.remote.operations.model import Actor, Changed, Detail, Kind, Operation, Request, Say, Step
from invirt.remote.rows import Cursor
from invirt.remote.survey import NotAsked

KINDS: dict[str, Kind] = {
    kind.name: kind
    for module in (machines, power, rescuing, ejecting, installing, moving, cold, disks, trash)
    for kind in module.KINDS
}
STEPS: dict[str, Step] = {step.name: step for kind in KINDS.values() for step in kind.steps}

TRIES = 5  # of an admission that found the machine changed since the hosts were asked


def silence(words: str) -> None:
    """A progress that says nothing."""


def submit(
    kind: str,
    actor: Actor,
    machine_name: MachineName,
    arguments: Detail | None = None,
    key: str | None = None,
    progress: Say | None = None,
    *,
    hosts: Hosts | None = None,
    connection: Connection | None = None,
    secret: str = "",
) -> Operation:
    """Do something to a machine, and return the finished operation.

    progress is told in words of each step when it begins.  key: of the
    requester's choice; a request with a key that was seen from the same
    principal is the first one, whose result it gets.  connection: one to be
    used and left open.  secret: what the admission takes, and nobody writes down.  Raises why the operation
    was not admitted, or failed; in the second case it is undone, or its hint
    says what becomes of it.
    """
    request = Request(kind, actor, machine_name, arguments or {}, key, secret)
    hosts, progress = hosts or RemctlHosts(), progress or silence
    if connection:
        return _submit(connection, hosts, request, progress)
    with closing(connect()) as fresh:
        return _submit(fresh, hosts, request, progress)


def begin(
    kind: str,
    actor: Actor,
    machine_name: MachineName,
    arguments: Detail | None = None,
    key: str | None = None,
    *,
    hosts: Hosts | None = None,
    connection: Connection,
    secret: str = "",
) -> int:
    """Have something done to a machine by the service, and return the operation's number at once.

    See submit(); raises why the operation was not admitted.
    """
    request = Request(kind, actor, machine_name, arguments or {}, key, secret)
    if key and (first := _first(connection, request)):
        return first.operation_id
    return _admit(connection, hosts or RemctlHosts(), request, holder=None)[0].operation_id


def _submit(connection: Connection, hosts: Hosts, request: Request, progress: Say) -> Operation:
    if request.key and (first := _first(connection, request)):
        return end(connection, first)
    try:
        lease, admitted = _admit(connection, hosts, request, store.this_process())
    except InvirtError:
        if request.key and (first := _first(connection, request)):  # it came in twice at once
            return end(connection, first)
        raise
    try:
        return Worker(connection, hosts, lease, STEPS, progress).run(admitted)
    except Unreachable as error:
        if not connection.closed:
            raise
        hint = f"It goes on when the database answers again: machine operations {request.machine_name}"
        raise Unreachable(error.message, hint) from error


def _admit(
    connection: Connection, hosts: Hosts, request: Request, holder: str | None
) -> tuple[store.Lease, Operation | None]:
    """Ask the hosts, then admit: one transaction that checks, reserves and writes all steps down.

    Returns the operation, too, for a holder.
    """
    kind = KINDS[request.kind]

    def work(cursor: Cursor) -> tuple[store.Lease, Operation | None]:
        require_access(cursor, request, kind)
        lease = store.insert(cursor, request, kind.admit(cursor, request, survey), holder)
        return lease, store.load(cursor, lease.operation_id) if holder else None

    pool, whole = request.arguments.get("pool"), False
    for _ in range(TRIES):
        survey = surveys.take(connection, hosts, request.machine_name, kind.asks, pool, whole)
        try:
            return change(connection, work)
        except (Changed, NotAsked) as error:
            changed, whole = error, whole or isinstance(error, NotAsked)
    raise changed


def _first(connection: Connection, request: Request) -> Operation | None:
    """The operation that this request has started before; raises BadInput if that was another request."""
    with transaction(connection) as cursor:
        found = store.select(
            cursor, "principal = %s AND request_key = %s", (request.actor.principal, request.key)
        )
    if not found:
        return None
    first = found[0]
    if (first.kind, first.machine_name, first.arguments) != (
        request.kind,
        request.machine_name,
        request.arguments,
    ):
        raise BadInput(
            f"the key {request.key} was used for {first.title} already", hint="Choose another key."
        )
    return first


def end(connection: Connection, operation: Operation) -> Operation:
    """Wait for the end of an operation that another process works on, and return it or raise its failure."""
    deadline = clock.current.monotonic() + config.remote.work_timeout + config.remote.shutdown_timeout
    while operation.state in ("running", "undoing"):
        if clock.current.monotonic() > deadline:
            raise Busy(f"{operation.title} is still under way", hint="Ask again later.")
        clock.current.sleep(0.2)
        with transaction(connection) as cursor:
            operation = store.load(cursor, operation.operation_id)
    if operation.state != "done":
        raise _failure(operation)
    return operation


def _failure(operation: Operation) -> InvirtError:
    """The error that an operation ended with, as who asked first was told it."""
    codes = [row.detail["exit_code"] for row in operation.steps if "exit_code" in row.detail]
    kind = errors.of(codes[0] if codes else None, InvirtError)
    return kind(operation.error or "it failed", f"Operation {operation.operation_id} is {operation.state}.")


__all__ = ["KINDS", "STEPS", "Actor", "Operation", "begin", "silence", "submit"]
