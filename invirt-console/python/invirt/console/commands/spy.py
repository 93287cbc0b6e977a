"""invirt-console-spy: look at a machine's console without being able to type."""

from __future__ import annotations

from invirt.base.cli import Command
from invirt.base.names import MachineName
from invirt.console.commands.console import MACHINE, join

SPY = "spy"  # whom the hosts' conservers let look, and no more


def _run(machine: MachineName) -> int:
    return join(machine, SPY, "attach")


COMMAND = Command(
    name="invirt-console-spy",
    section=8,
    summary="look at a machine's serial console",
    description=(
        "Shows the last screen of the machine's output and what comes after it; what is typed goes nowhere.\n"
        "^Ec. leaves. Root may run it; for helpers there is sudo, see the administrator's guide."
    ),
    example="sudo invirt-console-spy remus",
    arguments=(MACHINE,),
    run=_run,
    shown=None,
)
