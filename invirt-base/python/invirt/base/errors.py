"""The errors that a person can meet, each with a stable exit code.

Everything a user or an administrator can do wrong, or that can fail under
them, is raised as an InvirtError.  cli.main() prints it as one or two lines
and exits with its code; any other exception is a bug and shows a traceback
in the log.
"""

from __future__ import annotations


class InvirtError(Exception):
    """Something went wrong that the reader can do something about.

    message: what was wrong, and where.  hint: what to do next.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class BadInput(InvirtError):
    """An argument, a name or a value that is not of the accepted form."""

    exit_code = 2


class NotFound(InvirtError):
    """What was named doesn't exist, or not for this principal."""

    exit_code = 3


class Denied(InvirtError):
    """The principal may not do this."""

    exit_code = 4


class Busy(InvirtError):
    """Something else is being done to it right now; the same call may work later."""

    exit_code = 5


class NoRoom(InvirtError):
    """A quota, an address range or the hosts' memory is used up."""

    exit_code = 6


class Unreachable(InvirtError):
    """A host, the database or another server didn't answer in time."""

    exit_code = 7


class BadConfig(InvirtError):
    """invirt.yaml, or a template made from it, is wrong; names file, line and key."""

    exit_code = 8


class CommandFailed(InvirtError):
    """A child process ended with another status than 0, or not in time."""

    exit_code = 9


def of(code: int | None, otherwise: type[InvirtError] = CommandFailed) -> type[InvirtError]:
    """The kind that an exit code stands for; otherwise: for one that no kind has."""
    kinds = {kind.exit_code: kind for kind in InvirtError.__subclasses__()}
    return otherwise if code is None else kinds.get(code, otherwise)
