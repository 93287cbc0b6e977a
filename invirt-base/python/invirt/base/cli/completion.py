"""Completion of what is typed in a shell: click's own, from the rows.

The shell's script asks the program itself, by an environment variable, at each
press of the key.
"""

from __future__ import annotations

import os

from invirt.base.cli.rows import Command, whole


def _variable(command: Command) -> str:
    return f"_{command.name.upper().replace('-', '_')}_COMPLETE"


def script(command: Command) -> str:
    """What bash reads to complete the program's words."""
    from click.shell_completion import BashComplete, ShellComplete

    from invirt.base.cli.words import made

    complete = BashComplete(made(whole(command)), {}, command.name, _variable(command))
    return ShellComplete.source(complete) + "\n"  # not BashComplete's, which asks the shell for its version


def answered(command: Command) -> bool:
    """Whether the shell asked what could come next, which is printed then."""
    asked = os.environ.get(_variable(command), "")
    if not asked:
        return False
    from click.shell_completion import BashComplete

    from invirt.base.cli.words import made

    print(BashComplete(made(whole(command)), {}, command.name, _variable(command)).complete())
    return True
