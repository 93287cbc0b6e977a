"""How an operation stands towards its pivot, and what its requester is told of an end that nobody wanted."""

from __future__ import annotations

from invirt.base.errors import InvirtError
from invirt.remote.operations.model import Operation, Step


def is_past_pivot(operation: Operation, steps: dict[str, Step]) -> bool:
    """Whether it can't be undone any more."""
    return any(row.state == "done" and steps[row.name].pivot for row in operation.steps)


def is_unknown(operation: Operation, steps: dict[str, Step]) -> bool:
    """Whether its pivot may have been done, as its host alone knows: see Step.once."""
    return any(row.state == "doing" and steps[row.name].once for row in operation.steps)


def going_on(cause: InvirtError, operation: Operation, steps: dict[str, Step]) -> InvirtError:
    """cause, which turns nothing back."""
    when = "any more" if is_past_pivot(operation, steps) else "now"
    return _with_hint(cause, f"Operation {operation.operation_id} can't be undone {when}; it goes on.")


def undone(cause: InvirtError, operation: Operation) -> InvirtError:
    """cause, with a word on what is left of the operation: nothing."""
    return _with_hint(cause, f"Operation {operation.operation_id} was undone.")


def pending(cause: InvirtError | None, why: InvirtError, operation: Operation) -> InvirtError:
    """What the requester is told when undoing has to wait."""
    number = operation.operation_id
    if cause is None or cause is why:
        return _with_hint(why, f"Operation {number} will be undone as soon as that is possible.")
    return _with_hint(cause, f"Operation {number} will be undone; for now: {why.message}")


def _with_hint(error: InvirtError, hint: str) -> InvirtError:
    told = type(error)(error.message, "\n".join(filter(None, (error.hint, hint))))
    told.__cause__ = error
    return told
