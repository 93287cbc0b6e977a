"""The rows of operations: written here, and nowhere else.

Every change is fenced: it counts only as long as the worker holds the lease
with the last token that it was given.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from invirt.base.errors import NotFound
from invirt.remote.operations.model import CALL, Detail, LeaseLost, Operation, Plan, Planned, Request, StepRow
from invirt.remote.rows import Cursor

# Seconds that a lease lasts: two calls to hosts, of which one has its answer and a transaction
# after it.  While something takes longer it is renewed.
LEASE = 2 * CALL

COLUMNS = (
    "operation_id, kind, machine_id, machine_name, principal, via, arguments, state, error, "
    "lease_holder, lease_until, token, attempts, created_at, finished_at"
)


@dataclass(frozen=True)
class Lease:
    """The right to work on an operation.  token: of its claim, or its last mark; see begin()."""

    operation_id: int
    holder: str
    token: int


def this_process() -> str:
    """SERVER/PID/START of this process, for lease_holder: START keeps a reused PID from passing for it."""
    return f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}"


def is_gone(holder: str) -> bool:
    """Whether holder was a process of this server that is no more: its lease need not be waited for."""
    server, _, process = holder.partition("/")
    pid, _, start = process.partition("/")
    return server == socket.gethostname() and pid.isdigit() and _started(int(pid)) != start


def _started(pid: int) -> str:
    """Boot id and start time of a process, "" if there is none (proc(5): field 22, after the name)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else f"{boot}.{fields[19]}"


def insert(cursor: Cursor, request: Request, plan: Plan, holder: str | None) -> Lease:
    """Write an admitted operation and all its steps; the requester holds the first lease.

    holder: None leaves it to the service.
    """
    cursor.execute(
        "INSERT INTO operations (kind, machine_id, machine_name, principal, via, arguments, request_key,"
        " lease_holder, lease_until, token) VALUES (%s, %s, %s, %s, %s, %s, %s,"
        " %s, now() + %s * interval '1 second', nextval('operation_token')) RETURNING operation_id, token",
        (request.kind, plan.machine_id, request.machine_name, request.actor.principal, request.actor.via,
         json.dumps(request.arguments), request.key, holder, LEASE if holder else 0),
    )  # fmt: skip
    row = cursor.fetchone()
    lease = Lease(row.operation_id, holder or "", row.token)
    if plan.reserves is not None:
        cursor.execute(
            "INSERT INTO reservations (machine_id, host_id, memory, operation_id, rescue)"
            " SELECT machine_id, %s, memory, %s, %s OR EXISTS ("  # as where it comes from
            "  SELECT FROM reservations r WHERE r.machine_id = m.machine_id AND r.rescue)"
            " FROM machines m WHERE machine_id = %s",
            (plan.reserves, lease.operation_id, plan.rescue, plan.machine_id),
        )
    if plan.steps:  # all at once: locks are held
        rows = [_step_row(lease, position, planned) for position, planned in enumerate(plan.steps, 1)]
        cursor.execute(
            "INSERT INTO operation_steps (operation_id, position, name, undo, state, detail) VALUES "
            + ", ".join(["%s"] * len(rows)),
            rows,
        )
    return lease


def _step_row(lease: Lease, position: int, planned: Planned) -> tuple[object, ...]:
    """A step that is wholly done by its admission is done."""
    step, detail = planned.step, planned.detail
    state = "pending" if step.do or step.record else "done"
    undo = step.undo_words.format(**detail)
    return lease.operation_id, position, step.name, undo, state, json.dumps(detail)


def claim(
    cursor: Cursor, operation_id: int, holder: str, gone: str | None, become: str | None = None
) -> Lease | None:
    """Take an operation whose lease has ended, or is still that of a process that is gone.

    become: an administrator's wish of the state from which to go on: it need
    not wait for a pause's end, nor for the operation not to be stuck.  None if
    someone works on it, or it is finished.
    """
    cursor.execute(
        "UPDATE operations SET lease_holder = %(holder)s, token = nextval('operation_token'),"
        " lease_until = now() + %(seconds)s * interval '1 second', state = coalesce(%(become)s, state),"
        " attempts = CASE WHEN %(become)s IS NULL THEN attempts ELSE 0 END"
        " WHERE operation_id = (SELECT operation_id FROM operations WHERE operation_id = %(id)s"
        "  AND (state IN ('running', 'undoing') OR state = 'stuck' AND %(become)s IS NOT NULL)"
        "  AND (lease_until IS NULL OR lease_until < now() OR lease_holder = %(gone)s"
        "   OR lease_holder IS NULL AND %(become)s IS NOT NULL)"
        "  FOR UPDATE SKIP LOCKED) RETURNING token",
        {"holder": holder, "seconds": LEASE, "id": operation_id, "gone": gone, "become": become},
    )
    row = cursor.fetchone()
    return Lease(operation_id, holder, row.token) if row else None


@dataclass(frozen=True)
class LeftOver:
    """An operation that nobody works on; gone: who did, if that process ended before its lease."""

    number: int
    gone: str | None


def left_over(cursor: Cursor) -> list[LeftOver]:
    """Those that nobody works on, the one that waits longest first."""
    cursor.execute(
        "SELECT operation_id, lease_holder, lease_until IS NULL OR lease_until <= now() AS ended"
        " FROM operations WHERE state IN ('running', 'undoing')"
        " ORDER BY lease_until NULLS FIRST, operation_id"
    )
    found = []
    for row in cursor.fetchall():
        gone = row.lease_holder if row.lease_holder and is_gone(row.lease_holder) else None
        if row.ended or gone:
            found.append(LeftOver(row.operation_id, gone))
    return found


def hold(cursor: Cursor, lease: Lease, seconds: int = LEASE) -> None:
    """Prolong the lease, and lock the operation; raises LeaseLost if it is another's by now."""
    _update(cursor, lease, "lease_until = now() + %(seconds)s * interval '1 second'", seconds=seconds)


def become(cursor: Cursor, lease: Lease, state: str) -> None:
    """An administrator's wish of the state from which to go on."""
    _update(cursor, lease, "state = %(state)s", state=state)


def turn_back(cursor: Cursor, lease: Lease, error: str) -> None:
    """From running to undoing."""
    _update(cursor, lease, "state = 'undoing', error = %(error)s, attempts = 0", error=error)


def finish(cursor: Cursor, lease: Lease, state: str) -> None:
    """To done or undone."""
    _update(
        cursor,
        lease,
        "state = %(state)s, finished_at = now(), lease_holder = NULL, lease_until = NULL",
        state=state,
    )


def postpone(cursor: Cursor, lease: Lease, delay: float, failed: bool, most: int) -> None:
    """Give the operation back, not to be taken up before delay seconds; stuck after most failures."""
    _update(
        cursor,
        lease,
        "lease_holder = NULL, lease_until = now() + %(delay)s * interval '1 second',"
        " attempts = attempts + %(failed)s,"
        " state = CASE WHEN attempts + %(failed)s >= %(most)s THEN 'stuck' ELSE state END",
        delay=delay,
        failed=int(failed),
        most=most,
    )


def note(cursor: Cursor, operation_id: int, error: str) -> None:
    """Why an open operation won't be done, unless that is known already."""
    cursor.execute(
        "UPDATE operations SET error = coalesce(error, %s) WHERE operation_id = %s AND finished_at IS NULL",
        (error, operation_id),
    )


def _update(cursor: Cursor, lease: Lease, change: str, **values: Any) -> Lease:
    cursor.execute(
        f"UPDATE operations SET {change}"
        " WHERE operation_id = %(id)s AND lease_holder = %(holder)s AND token = %(token)s RETURNING token",
        {"id": lease.operation_id, "holder": lease.holder, "token": lease.token, **values},
    )
    row = cursor.fetchone()
    if row is None:
        raise LeaseLost(
            f"another worker has taken operation {lease.operation_id} over",
            hint="It goes on there, or is undone.",
        )
    return replace(lease, token=row.token)


def begin(cursor: Cursor, lease: Lease, position: int, state: str) -> Lease:
    """Mark a step as "doing" or "undoing".

    The token of the lease that is returned is for the one command that is sent
    to a host then: the host refuses it a second time, and every earlier one.
    """
    mark(cursor, lease, position, state, {})
    return _update(cursor, lease, "token = nextval('operation_token')")


def mark(cursor: Cursor, lease: Lease, position: int, state: str, found: Detail) -> None:
    """The state of a step, and what it found out."""
    hold(cursor, lease)
    cursor.execute(
        "UPDATE operation_steps SET state = %s, detail = detail || %s, changed_at = now()"
        " WHERE operation_id = %s AND position = %s",
        (state, json.dumps(found), lease.operation_id, position),
    )


def load(cursor: Cursor, operation_id: int) -> Operation:
    """An operation with its steps; raises NotFound."""
    found = select(cursor, "operation_id = %s", (operation_id,))
    if not found:
        raise NotFound(f"there is no operation {operation_id}")
    return found[0]


def select(cursor: Cursor, where: str, values: Sequence[object] = (), limit: int = 1000) -> list[Operation]:
    """The newest operations for which `where` holds, newest first, with their steps."""
    cursor.execute(
        f"SELECT {COLUMNS} FROM operations WHERE {where} ORDER BY operation_id DESC LIMIT {limit:d}", values
    )
    rows = cursor.fetchall()
    cursor.execute(
        "SELECT operation_id, position, name, undo, state, detail, changed_at FROM operation_steps"
        " WHERE operation_id = ANY(%s) ORDER BY operation_id, position",
        ([row.operation_id for row in rows],),
    )
    steps: dict[int, list[StepRow]] = {row.operation_id: [] for row in rows}
    for step in cursor.fetchall():
        steps[step.operation_id].append(StepRow(*step[1:]))
    return [Operation(**row._asdict(), steps=tuple(steps[row.operation_id])) for row in rows]
