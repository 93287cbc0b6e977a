"""A command's operation: run to its end, while it is told how it goes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from invirt.base.names import MachineName
from invirt.remote.actor import Actor
from invirt.remote.session import connected, transaction

if TYPE_CHECKING:
    from invirt.remote.operations import Operation


class Begun(Exception):
    """An operation has been begun that nobody waits for."""

    def __init__(self, number: int) -> None:
        super().__init__(f"operation {number}")
        self.number = number


class _Asked:
    waits = True
    key: str | None = None


def asked(waits: bool, key: str | None) -> None:
    """Whether this call's requester waits for what it asks for, and what tells it from another request."""
    _Asked.waits, _Asked.key = waits, key


def before(actor: Actor) -> Operation | None:
    """The operation that this request has begun before, by its key; submit() sees whether it was the same."""
    if not _Asked.key:
        return None
    from invirt.remote.operations import store

    with transaction() as cursor:
        found = store.select(cursor, "principal = %s AND request_key = %s", (actor.principal, _Asked.key))
    return found[0] if found else None


def ended(operation: Operation) -> str:
    """How an operation ended, once it has; raises why it failed."""
    from invirt.remote import operations

    return f"{operations.end(connected(), operation).title} is done"


def warnings(operation: Operation) -> list[str]:
    """What its admission had to say against it."""
    return [row.detail["warning"] for row in operation.steps if "warning" in row.detail]


def progress(text: str) -> None:
    """Tell how it goes, on stderr; a client that went away doesn't stop the work."""
    with contextlib.suppress(OSError):
        print(f"  {text}", file=sys.stderr, flush=True)


def submit(
    kind: str,
    actor: Actor,
    name: MachineName,
    arguments: dict[str, Any] | None = None,
    secret: str = "",
    first: Iterator[str] | None = None,
) -> Operation:
    """Run an operation to its end, telling how it goes; raises why it failed.

    Raises Begun instead where nobody waits: the service does it.  secret: see operations.submit().
    first: what is told before all else, once it is admitted; it stays where the same was begun before.
    """
    from invirt.remote import operations  # not for those who only look

    def tell(text: str) -> None:
        for word in first or ():
            progress(word)
        progress(text)

    key = _Asked.key
    if not _Asked.waits:
        begun = operations.begin(
            kind, actor, name, arguments or {}, key, connection=connected(), secret=secret
        )
        raise Begun(begun)
    return operations.submit(
        kind,
        actor,
        name,
        arguments or {},
        key=key,
        progress=tell,
        connection=connected(),
        secret=secret,
    )
