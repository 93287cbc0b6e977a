"""A program that remctld runs for a principal.

It refuses to run without one, answers `help [VERB]` and `summary` from its own
rows, and logs who did what and how it ended.  What surrounds its verbs finds
the caller in the Call.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from invirt.base import log, validate
from invirt.base.cli import Command, Place, complain, parsed, show, whole
from invirt.base.errors import BadInput, Denied, InvirtError

PORT = 4373  # remctl's own, where users come to remote servers
# Where hosts listen for remote (invirt-host-remctld.socket): not remctl's own
# port, which is the users', so that firewalls can tell the two apart.
HOST_PORT = 4374
TYPED = re.compile("[a-z-]+")


@dataclass(frozen=True)
class Caller:
    """Who calls, as remctld has authenticated it, and from which address."""

    principal: str
    address: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: what audit gets.  message is empty when it succeeded."""

    caller: Caller
    program: str
    arguments: tuple[str, ...]
    exit_code: int
    message: str = ""


Audit = Callable[[Outcome], None]


def caller(environ: Mapping[str, str]) -> Caller:
    """The caller in remctld's environment; raises Denied if there is none that can be trusted."""
    if not environ.get("REMOTE_USER"):
        raise Denied("nobody is signed on", hint="This program is run by remctld, which sets REMOTE_USER.")
    try:
        principal = validate.principal(environ["REMOTE_USER"])
    except BadInput as error:
        raise Denied(error.message, error.hint) from error
    return Caller(principal, environ.get("REMOTE_ADDR", ""))


def help_text(place: Place, words: Sequence[str]) -> str:
    """The help of what stands at place, or of what words lead to from there; raises BadInput."""
    for word in words:
        known = {below.row.name: below for below in place.below()}
        if word not in known:
            raise BadInput(
                f"there is no help for {word!a}", hint=f"There is: {', '.join(known) or 'help alone'}."
            )
        place = known[word]
    from invirt.base.cli import help  # only for those who ask

    return help.text(place)


def summary_text(place: Place) -> str:
    """A line for each verb, or one for the program: what `remctl SERVER help` shows of a program."""
    return "".join(f"{one.path}: {one.row.summary}\n" for one in [*place.below()] or [place])


def _answered(command: Command, name: str, argv: Sequence[str]) -> bool:
    """Print the answer to `help` or `summary`, if it was asked for; anyone may ask."""
    if list(argv) == ["summary"]:
        print(summary_text(whole(command, name)), end="")
    elif argv and argv[0] in ("help", "--help", "-h"):
        print(help_text(whole(command, name), argv[1:]), end="")
    else:
        return False
    return True


def _run(command: Command, name: str, argv: Sequence[str], who: Caller) -> tuple[int, str]:
    """Exit code, and what went wrong in one line."""
    try:
        call = parsed(command, argv, name)
        code = show.found(call.verb.shown, command.do(replace(call, caller=who.principal))) if call else 0
        return code, "" if code == 0 else f"status {code}"
    except InvirtError as error:
        complain(error, name)
        return error.exit_code, error.message
    except Exception as error:  # a bug: the traceback is for the log, not for the user
        log.bug(error, program=command.name)
        print(f"{name}: an internal error; the server's log has the details", file=sys.stderr)
        return 1, f"{type(error).__name__}: {error}"


def _audited(audit: Audit | None, outcome: Outcome, name: str) -> int:
    """The exit code, after audit has it too: what can't be audited has not succeeded."""
    try:
        if audit:
            audit(outcome)
    except InvirtError as error:
        if not outcome.exit_code:  # else the user was told of a failure already, likely of the same
            complain(error, name)
        log.write(f"not audited: {error.message}", log.ERROR, program=outcome.program)
        return outcome.exit_code or error.exit_code
    return outcome.exit_code


def line(outcome: Outcome) -> str:
    """The log's line for outcome; what others have said is in quotes."""
    words = " ".join(map(log.quoted, (outcome.program, *outcome.arguments)))
    ended = "succeeded" if outcome.exit_code == 0 else f"failed: {log.quoted(outcome.message)}"
    return f"command {words} from {outcome.caller.principal} {ended}"


def main(
    command: Command,
    argv: Sequence[str] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    audit: Audit | None = None,
    write: Callable[..., None] = log.write,
) -> int:
    """Run command for the principal in environ; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    typed = environ.get("REMCTL_COMMAND", "")
    if not TYPED.fullmatch(typed) or typed in ("help", "summary"):  # remctld's own `help machine`
        typed = command.remctl
    name = typed or command.name
    try:
        if _answered(command, name, argv):
            return 0
        who = caller(environ)
    except InvirtError as error:
        complain(error, name)
        return error.exit_code
    log.about(principal=who.principal)
    code, message = _run(command, name, argv, who)
    outcome = Outcome(who, command.name, tuple(argv), code, message)
    write(line(outcome), log.ERROR if code else log.INFO, program=command.name)
    return _audited(audit, outcome, name)


def start(command: Command, *, audit: Audit | None = None) -> NoReturn:
    """What the wrappers of remctl's programs call.

    Ends without Python's tidying up, which takes a seventh of a call's time to
    free what the kernel frees anyway.
    """
    code = main(command, audit=audit)
    with contextlib.suppress(OSError):  # nobody reads it any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
