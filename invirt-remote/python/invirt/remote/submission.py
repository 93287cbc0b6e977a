"""A command's operation: run to its end, while it is told how it goes."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from invirt.base.names import MachineName
from invirt.remote.actor import Actor
from invirt.remote.session import connected

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


def progress(text: str) -> None:
    """Tell how it goes, on stderr; a client that went away doesn't stop the work."""
    with contextlib.suppress(OSError):
        print(f"  {text}", file=sys.stderr, flush=True)


def submit(kind: str, actor: Actor, name: MachineName, arguments: dict[str, Any] | None = None) -> Operation:
    """Run an operation to its end, telling how it goes; raises why it failed.

    Raises Begun instead where nobody waits: the service does it.
    """
    from invirt.remote import operations  # not for those who only look

    key = _Asked.key
    if not _Asked.waits:
        raise Begun(operations.begin(kind, actor, name, arguments or {}, key, connection=connected()))
    return operations.submit(
        kind, actor, name, arguments or {}, key=key, progress=progress, connection=connected()
    )
