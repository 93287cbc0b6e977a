"""A command's operation: run to its end, while it is told how it goes."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from invirt.remote.actor import Actor
from invirt.remote.session import connected

if TYPE_CHECKING:
    from invirt.remote.operations import Operation


def progress(text: str) -> None:
    """Tell how it goes, on stderr; a client that went away doesn't stop the work."""
    with contextlib.suppress(OSError):
        print(f"  {text}", file=sys.stderr, flush=True)


def submit(
    kind: str, actor: Actor, name: str, arguments: dict[str, Any] | None = None, key: str | None = None
) -> Operation:
    """Run an operation to its end, telling how it goes; raises why it failed."""
    from invirt.remote import operations  # not for those who only look

    return operations.submit(
        kind, actor, name, arguments or {}, key=key, progress=progress, connection=connected()
    )
