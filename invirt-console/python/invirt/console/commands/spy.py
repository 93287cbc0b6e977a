"""invirt-console-spy: look at a machine's console without being able to type."""

from __future__ import annotations

import argparse

from invirt.base import validate
from invirt.base.cli import Command
from invirt.console.commands.console import join

SPY = "spy"  # whom the hosts' conservers let look, and no more


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("machine")


def _run(arguments: argparse.Namespace) -> int:
    return join(validate.machine_name(arguments.machine), SPY, "attach")


COMMAND = Command(
    name="invirt-console-spy",
    section=8,
    summary="look at a machine's serial console",
    description=(
        "Shows the last screen of the machine's output and what comes after it; what is typed goes nowhere.\n"
        "^Ec. leaves. Root may run it; for helpers there is sudo, see the administrator's guide."
    ),
    example="sudo invirt-console-spy remus",
    arguments=_arguments,
    run=_run,
)
