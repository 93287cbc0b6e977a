"""invirt-remctld-gate: ends connections to remctld that stay silent."""

from __future__ import annotations

from invirt.base import gate
from invirt.base.cli import Command

COMMAND = Command(
    name="invirt-remctld-gate",
    section=8,
    summary="end connections to remctld whose callers don't sign on in time",
    description=(
        f"Looks every {gate.EVERY:g} seconds at the remctlds that Invirt's sockets start, one for each\n"
        f"connection, and ends those that have run no command within {gate.PATIENCE:g} seconds. How many\n"
        "these were is in the log."
    ),
    example="journalctl -u invirt-remctld-gate",
    run=gate.watch,
    shown=None,
)
