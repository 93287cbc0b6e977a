"""Completion of what is typed in a shell: click's own, from the rows.

The shell's script asks the program itself, by an environment variable, at each
press of the key.
"""

from __future__ import annotations

import os

from invirt.base.cli.rows import Command, whole

# Where each shell looks, below /usr/share, for the file of a program's name.
PLACES = {
    "bash": "bash-completion/completions/{}",
    "zsh": "zsh/vendor-completions/_{}",
    "fish": "fish/vendor_completions.d/{}.fish",
}


def _variable(command: Command) -> str:
    return f"_{command.name.upper().replace('-', '_')}_COMPLETE"


def script(command: Command, shell: str) -> str:
    """What the shell, one of PLACES, reads to complete the program's words."""
    from click.shell_completion import ShellComplete, get_completion_class

    from invirt.base.cli.words import made

    kind = get_completion_class(shell)
    assert kind is not None
    complete = kind(made(whole(command)), {}, command.name, _variable(command))
    text = ShellComplete.source(complete) + "\n"  # not bash's own, which asks the shell for its version
    if shell == "zsh" and "loadautofunc" not in text:  # else the first press of the key does nothing
        text += f'{complete.func_name} "$@"\n'
    return text


def answered(command: Command) -> bool:
    """Whether the shell asked what could come next, which is printed then."""
    asked = os.environ.get(_variable(command), "")
    if not asked:
        return False
    from click.shell_completion import shell_complete

    from invirt.base.cli.words import made

    shell_complete(made(whole(command)), {}, command.name, _variable(command), asked)
    return True
